#include "tests/decoder_fixture.h"

#include <algorithm>

#include "core/random.h"
#include "tests/testing.h"

namespace vlmr1::testing {

std::vector<Prompt> golden_prompts(const std::string& folder) {
  std::vector<Prompt> prompts;
  const GoldenCases cases(folder);
  for (const GoldenCase& c : cases.all()) prompts.push_back(c.prompt);
  return prompts;
}

SamplingOptions random_lengths(int32_t most) {
  SamplingOptions s;
  s.temperature = 2.0f;
  s.max_new_tokens = most;
  for (int32_t token = 0; token < 300; token += 10) s.stop_tokens.push_back(token);
  return s;
}

std::vector<SamplingOptions> mixed_sampling() {
  std::vector<SamplingOptions> ways(7, random_lengths(20));
  ways[0].temperature = 0;
  ways[0].stop_tokens = {};
  ways[1].top_p = 0.7f;
  ways[2].top_k = 9;
  ways[2].min_p = 0.05f;
  ways[3].repetition_penalty = 1.4f;
  ways[4].max_new_tokens = 1;
  ways[5] = random_lengths(70);  // longer than a block of keys
  ways[5].temperature = 0.6f;
  ways[6].temperature = 0;
  ways[6].repetition_penalty = 0.8f;
  return ways;
}

uint64_t Dice::below(uint64_t limit) { return random_bits(seed_, drawn_++, 0, 0) % limit; }

std::vector<DecodeRequest> random_requests(const std::vector<Prompt>& prompts, uint64_t count, Dice& dice) {
  const auto ways = mixed_sampling();
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < count; ++id) {
    DecodeRequest request;
    request.id = id;
    request.prompt = prompts[dice.below(prompts.size())];
    request.sampling = ways[dice.below(ways.size())];
    request.seed = dice.below(3);
    request.row = 40 + dice.below(5);
    request.completion = dice.below(3);
    requests.push_back(std::move(request));
  }
  return requests;
}

void collect(Answers& answers, const DecodeNews& news) {
  for (const DecodedToken& drawn : news.tokens) {
    Answer& answer = answers[drawn.id];
    if (answer.ended) VLMR1_REPORT("request " + show(drawn.id) + " goes on after its end");
    answer.tokens.push_back(drawn.token);
    answer.log_probs.push_back(drawn.log_prob);
  }
  for (const DecodeEnded& ended : news.finished) {
    Answer& answer = answers[ended.id];
    if (answer.ended) VLMR1_REPORT("request " + show(ended.id) + " ends twice");
    answer.ended = true;
    answer.end = ended.reason;
    answer.message = ended.message;
  }
}

void finish(RequestDecoder& decoder, Answers& answers) {
  while (decoder.active() + decoder.waiting() > 0) collect(answers, decoder.step(1e9, StopFlag()));
}

Answer alone(Model& model, const DecodeRequest& request) {
  GenerateOptions options;
  options.n = static_cast<int32_t>(request.completion) + 1;
  options.sampling = request.sampling;
  options.seed = request.seed;
  options.first_row = request.row;
  const Completion drawn = generate(model, {request.prompt}, options, StopFlag(), nullptr)[0].back();
  return {drawn.tokens, drawn.log_probs, true, drawn.stopped ? DecodeEnd::kStop : DecodeEnd::kLength, ""};
}

void expect_as_alone(Model& model, const std::vector<DecodeRequest>& requests, const Answers& answers,
                     const std::string& which) {
  for (const DecodeRequest& request : requests) {
    const auto found = answers.find(request.id);
    if (found == answers.end()) continue;  // removed before its first token
    const Answer& got = found->second;
    Answer expected = alone(model, request);
    const std::string name = which + ": request " + show(request.id);
    if (got.ended && got.end != expected.end) VLMR1_REPORT(name + " ends for another reason: " + got.message);
    if (!got.ended && got.tokens.size() <= expected.tokens.size()) {
      expected.tokens.resize(got.tokens.size());
      expected.log_probs.resize(got.tokens.size());
    }
    if (got.tokens != expected.tokens || !same_bits(got.log_probs, expected.log_probs))
      VLMR1_REPORT(name + " has other bits");
  }
}

HookedModel::HookedModel(const std::string& folder, int threads)
    : cpu(make_cpu_backend({threads, ""})),
      backend(*cpu),
      model(Model::load(backend, golden_path(folder), full_training())) {}

}  // namespace vlmr1::testing
