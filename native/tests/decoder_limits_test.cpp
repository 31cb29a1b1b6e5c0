// What a decoder refuses, and where it ends what would go on for too long.
#include <algorithm>
#include <limits>
#include <utility>

#include "optim/adamw.h"
#include "rl/objective.h"
#include "rl/request_decoder.h"
#include "tests/decoder_fixture.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

const std::string kFolder = "qwen2_5_vl_a";

DecodeRequest request_of(uint64_t id, const Prompt& prompt, int32_t tokens = 8) {
  DecodeRequest request;
  request.id = id;
  request.prompt = prompt;
  request.sampling.max_new_tokens = tokens;
  return request;
}

void train(ModelFixture& f) {
  const GoldenCase c = GoldenCases(kFolder).get("text");
  Objective objective;
  objective.loss.type = LossType::kSft;
  objective.loss.total_tokens = static_cast<int64_t>(c.completion.size());
  accumulate(*f.model, {c.group()}, objective, StopFlag());
  AdamWOptions options;
  options.learning_rate = 0.05f;
  adamw_step(*f.backend, f.model->parameters(), options);
}

TEST(decoder_refuses_all_of_what_holds_one_bad_request) {
  ModelFixture f(kFolder);
  const Prompt prompt = GoldenCases(kFolder).get("text").prompt;
  const DecodeRequest good = request_of(1, prompt);
  RequestDecoder decoder(*f.model, {2});
  const auto refuse = [&](ErrorCode code, const char* part, const DecodeRequest& bad) {
    EXPECT_ERROR_WITH(code, part, decoder.add({good, bad}));
    EXPECT_EQ(decoder.waiting(), 0);
    EXPECT_EQ(decoder.prompts(), 0);
  };
  DecodeRequest bad = request_of(2, prompt);
  bad.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  refuse(ErrorCode::kArgument, "requests[1].sampling: temperature: expected", bad);
  bad = request_of(2, prompt);
  bad.sampling.top_p = 0.0f;
  refuse(ErrorCode::kArgument, "top_p", bad);
  bad = request_of(2, prompt);
  bad.sampling.stop_tokens = {1'000'000};
  refuse(ErrorCode::kArgument, "stop_tokens", bad);
  bad = request_of(2, prompt);
  bad.prompt.tokens.push_back(-3);
  refuse(ErrorCode::kTokens, "requests[1].prompt: expected token ids", bad);
  bad = request_of(2, Prompt{});
  refuse(ErrorCode::kTokens, "at least one token", bad);
  bad = request_of(2, GoldenCases(kFolder).get("two_images").prompt);
  bad.prompt.pictures.pop_back();
  refuse(ErrorCode::kTokens, "more picture tokens", bad);
  refuse(ErrorCode::kArgument, "got 1 again", good);
  decoder.add({good});
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "got 1 again", decoder.add({good}));
  EXPECT_EQ(decoder.waiting(), 1);
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "max_rows", RequestDecoder(*f.model, {-1}));
}

TEST(decoder_with_nothing_to_do_answers_at_once) {
  ModelFixture f(kFolder);
  RequestDecoder decoder(*f.model, {});
  for (int i = 0; i < 2; ++i) {
    const DecodeNews news = decoder.step(1e12, StopFlag());
    EXPECT_TRUE(news.tokens.empty() && news.finished.empty());
    EXPECT_EQ(news.active + news.waiting, 0);
    decoder.add({});
    decoder.remove({1, 2, 1});
  }
  // Gone before it began; its id is free again.
  const DecodeRequest request = request_of(1, GoldenCases(kFolder).get("text").prompt);
  decoder.add({request});
  decoder.remove({1, 1});
  EXPECT_EQ(decoder.prompts(), 0);
  decoder.add({request});
  Answers answers;
  finish(decoder, answers);
  EXPECT_EQ(answers[1].tokens.size(), 8);
}

TEST(decoder_ends_completions_at_the_last_position) {
  const std::string folder = "qwen2_5_vl_a";
  ModelFixture f(folder, 2);
  const int64_t positions = f.model->info().max_position_embeddings;
  REQUIRE(positions == 512);
  const auto of_length = [](int64_t tokens) {
    Prompt prompt;
    prompt.tokens.assign(static_cast<size_t>(tokens), 120);
    return prompt;
  };
  RequestDecoder decoder(*f.model, {});
  EXPECT_ERROR_WITH(ErrorCode::kTokens, "fewer tokens than the 512 positions",
                    decoder.add({request_of(0, of_length(512))}));
  decoder.add(
      {request_of(1, of_length(511), 100), request_of(2, of_length(480), 1 << 24), request_of(3, of_length(480), 32)});
  Answers answers;
  finish(decoder, answers);
  EXPECT_EQ(answers[1].tokens.size(), 1);
  EXPECT_EQ(answers[2].tokens.size(), 32);
  EXPECT_EQ(answers[2].tokens, answers[3].tokens);
  for (const uint64_t id : {1, 2, 3}) EXPECT_TRUE(answers[id].end == DecodeEnd::kLength);
}

TEST(decoder_lets_long_prompts_join_over_several_passes) {
  ModelFixture f(kFolder);
  RequestDecoder decoder(*f.model, {});
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < 12; ++id) {
    Prompt prompt;
    prompt.tokens.assign(500, 120);
    // The last four ask the same.
    prompt.tokens[7] += static_cast<int32_t>(std::min<uint64_t>(id, 8));
    requests.push_back(request_of(id, prompt, 4));
  }
  std::swap(requests[7], requests[8]);
  decoder.add(requests);
  Answers answers;
  for (const int64_t active : {8, 12}) {
    const DecodeNews news = decoder.step(0, StopFlag());
    EXPECT_EQ(news.active, active);
    EXPECT_EQ(news.waiting, 12 - active);
    collect(answers, news);
  }
  finish(decoder, answers);
  expect_as_alone(*f.model, requests, answers, "in two passes");
  EXPECT_EQ(answers.size(), 12);
}

TEST(decoder_refuses_to_mix_weights) {
  ModelFixture f(kFolder);
  const Prompt prompt = GoldenCases(kFolder).get("text").prompt;
  RequestDecoder decoder(*f.model, {1});
  decoder.add({request_of(1, prompt), request_of(2, prompt)});
  decoder.step(0, StopFlag());
  train(f);
  EXPECT_ERROR_WITH(ErrorCode::kState, "weights were written while 1 requests", decoder.step(0, StopFlag()));
  // The one that waits shares the encoding of the old weights.
  decoder.remove({1});
  Answers answers;
  finish(decoder, answers);
  expect_as_alone(*f.model, {request_of(2, prompt)}, answers, "with the new weights");
  EXPECT_EQ(answers[2].tokens.size(), 8);
}

TEST(decoder_forgets_what_was_not_told_of_the_removed) {
  ModelFixture f(kFolder);
  const Prompt prompt = GoldenCases(kFolder).get("text").prompt;
  HookedModel hooked(kFolder);
  int32_t word = 0;
  int calls = 0;
  hooked.backend.before_append = [&](const std::vector<QueryRun>&) { word = ++calls > 4 ? 1 : 0; };
  RequestDecoder decoder(*hooked.model, {});
  decoder.add({request_of(1, prompt), request_of(2, prompt, 1)});
  // The first pass ends request 2, so that only a further step is interrupted.
  Answers answers;
  collect(answers, decoder.step(1e9, StopFlag(&word)));
  EXPECT_TRUE(answers[2].ended);
  EXPECT_ERROR(ErrorCode::kAborted, decoder.step(1e9, StopFlag(&word)));
  hooked.backend.before_append = nullptr;
  decoder.remove({1});
  const DecodeNews news = decoder.step(0, StopFlag());
  EXPECT_TRUE(news.tokens.empty() && news.finished.empty());
}

}  // namespace
}  // namespace vlmr1
