// A decoder's requests: whatever joins and leaves beside them, they keep the bits of `generate`; and one that cannot go
// on takes no other along.
#include <cstdio>
#include <limits>

#include "optim/adamw.h"
#include "rl/objective.h"
#include "rl/request_decoder.h"
#include "tests/decoder_fixture.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

const std::string kFolder = "qwen2_5_vl_a";

DecodeRequest request_of(uint64_t id, const Prompt& prompt, const SamplingOptions& sampling) {
  DecodeRequest request;
  request.id = id;
  request.prompt = prompt;
  request.sampling = sampling;
  request.seed = 17;
  request.row = 40 + id;
  return request;
}

// Tokens in a prompt's place: longer than any other run.
int32_t longest_run(const std::vector<QueryRun>& runs) {
  int32_t most = 0;
  for (const QueryRun& run : runs) most = std::max(most, run.count);
  return most;
}

Prompt text_prompt(size_t tokens, int32_t first = 100) {
  Prompt prompt;
  for (size_t i = 0; i < tokens; ++i) prompt.tokens.push_back(first + static_cast<int32_t>(i % 100));
  return prompt;
}

// Adds and removes at random between single passes, then lets the rest end.
Answers run_at_random(RequestDecoder& decoder, const std::vector<DecodeRequest>& requests, int32_t max_rows,
                      Dice& dice) {
  Answers answers;
  size_t next = 0;
  while (next < requests.size() || decoder.active() + decoder.waiting() > 0) {
    std::vector<DecodeRequest> some;
    for (uint64_t more = dice.below(4); more > 0 && next < requests.size(); --more) some.push_back(requests[next++]);
    decoder.add(some);
    if (dice.below(12) == 0) decoder.remove({dice.below(requests.size()), dice.below(requests.size())});
    const DecodeNews news = decoder.step(dice.below(3) == 0 ? 1e9 : 0.0, StopFlag());
    EXPECT_TRUE(max_rows == 0 || news.active <= max_rows);
    EXPECT_EQ(news.active, decoder.active());
    EXPECT_EQ(news.waiting, decoder.waiting());
    collect(answers, news);
  }
  return answers;
}

TEST(decoder_keeps_the_bits_of_generate_whatever_joins_and_leaves) {
  size_t ended = 0, cut = 0;
  for (const auto& folder : golden_models()) {
    const std::vector<Prompt> prompts = golden_prompts(folder);
    ModelFixture one(folder, 1);
    for (const int threads : {1, 2, 3}) {
      ModelFixture f(folder, threads);
      for (const int32_t max_rows : {1, 2, 5, 0}) {
        Dice dice(static_cast<uint64_t>(threads * 10 + max_rows));
        const auto requests = random_requests(prompts, 24, dice);
        RequestDecoder decoder(*f.model, {max_rows});
        const Answers answers = run_at_random(decoder, requests, max_rows, dice);
        expect_as_alone(*one.model, requests, answers,
                        folder + ", " + show(threads) + " threads, " + show(max_rows) + " at once");
        for (const auto& [id, answer] : answers) (answer.ended ? ended : cut)++;
        EXPECT_EQ(decoder.prompts(), 0);
      }
    }
  }
  std::printf("  %zu requests to their end, %zu removed on the way\n", ended, cut);
  EXPECT_GT(ended, 900u);
  EXPECT_GT(cut, 20u);
}

TEST(decoder_encodes_equal_prompts_once) {
  HookedModel f(kFolder);
  const GoldenCase c = GoldenCases(kFolder).get("two_images");
  int64_t encoded = 0;
  const auto length = static_cast<int32_t>(c.prompt.tokens.size());
  f.backend.before_append = [&](const std::vector<QueryRun>& runs) {
    for (const QueryRun& run : runs) encoded += run.count == length ? 1 : 0;
  };
  SamplingOptions long_ones;
  long_ones.max_new_tokens = 12;
  RequestDecoder decoder(*f.model, {3});
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < 7; ++id) {
    requests.push_back(request_of(id, c.prompt, long_ones));
    // The same pictures in memory of their own.
    for (auto& picture : requests.back().prompt.pictures) picture = std::make_shared<Picture>(*picture);
  }
  Answers answers;
  decoder.add({requests.begin(), requests.begin() + 4});
  collect(answers, decoder.step(0, StopFlag()));
  decoder.add({requests.begin() + 4, requests.end()});
  EXPECT_EQ(decoder.prompts(), 1);
  finish(decoder, answers);
  const int64_t layers = encoded;
  // Another picture is another prompt, however little of it differs.
  requests[0].prompt.pictures[1] = std::make_shared<Picture>(*requests[0].prompt.pictures[1]);
  const_cast<Picture&>(*requests[0].prompt.pictures[1]).pixel_values.back() += 0.01f;
  requests[1].prompt.tokens.back() ^= 1;
  Answers others;
  decoder.add({requests[0], requests[1], requests[2]});
  EXPECT_EQ(decoder.prompts(), 3);
  finish(decoder, others);
  EXPECT_EQ(encoded, 4 * layers);
  EXPECT_EQ(decoder.prompts(), 0);
  requests.erase(requests.begin(), requests.begin() + 2);
  expect_as_alone(*f.model, requests, answers, "shared");
  expect_as_alone(*f.model, {requests[0]}, others, "beside others");
  EXPECT_EQ(answers.size(), 7);
}

TEST(decoder_that_runs_for_long_holds_what_is_under_way) {
  ModelFixture f(kFolder, 1);
  RequestDecoder decoder(*f.model, {8});
  std::vector<Prompt> prompts;
  for (int32_t i = 0; i < 40; ++i) prompts.push_back(text_prompt(3 + static_cast<size_t>(i % 5), 100 + i));
  Dice dice(5);
  size_t used = 0, places = 0, held = 0;
  int64_t ended = 0;
  for (uint64_t id = 0; id < 10'000;) {
    std::vector<DecodeRequest> some;
    for (uint64_t more = 8; more > 0; --more, ++id)
      some.push_back(
          request_of(id, prompts[dice.below(prompts.size())], random_lengths(1 + static_cast<int32_t>(dice.below(3)))));
    decoder.add(std::move(some));
    while (decoder.active() + decoder.waiting() > 0)
      ended += static_cast<int64_t>(decoder.step(0, StopFlag()).finished.size());
    if (id == 1'000) {
      used = f.backend->memory_used();
      held = f.backend->memory().held;
      places = decoder.places();
    }
  }
  EXPECT_EQ(ended, 10'000);
  EXPECT_EQ(f.backend->memory_used(), used);
  EXPECT_LE(f.backend->memory().held, held + (size_t{1} << 20));
  EXPECT_LE(decoder.places(), places);
  EXPECT_LE(places, 16u);
}

TEST(decoder_fails_a_request_alone_that_memory_does_not_hold) {
  HookedModel f(kFolder);
  // Too many tokens at once do not fit, and the second layer finds out.
  int call = 0;
  f.backend.before_append = [&](const std::vector<QueryRun>& runs) {
    if (longest_run(runs) > 60 && ++call % 2 == 0) fail(ErrorCode::kOutOfMemory, "memory: 7 MiB more; train less");
  };
  const std::vector<SamplingOptions> ways = mixed_sampling();
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < 9; ++id)
    requests.push_back(request_of(id, id % 3 == 2 ? text_prompt(80, static_cast<int32_t>(id)) : text_prompt(20 + id),
                                  ways[id % ways.size()]));
  RequestDecoder decoder(*f.model, {});
  Answers answers;
  decoder.add({requests[0]});
  collect(answers, decoder.step(0, StopFlag()));
  decoder.add({requests.begin() + 1, requests.end()});
  finish(decoder, answers);
  f.backend.before_append = nullptr;
  for (const uint64_t id : {2, 5, 8}) {
    EXPECT_TRUE(answers[id].end == DecodeEnd::kError);
    EXPECT_TRUE(answers[id].tokens.empty());
    EXPECT_CONTAINS(answers[id].message, "out of memory, with ");
    EXPECT_CONTAINS(answers[id].message, "(memory: 7 MiB more): have fewer");
    answers.erase(id);
  }
  EXPECT_EQ(answers.size(), 6);
  expect_as_alone(*f.model, requests, answers, "beside those that do not fit");
}

// Where not all that wait can join at once, each pass takes as many as it can, and finds out in few attempts.
TEST(decoder_lets_fewer_join_where_memory_does_not_hold_all) {
  HookedModel f(kFolder);
  int failed = 0;
  f.backend.before_append = [&](const std::vector<QueryRun>& runs) {
    int32_t tokens = 0;
    for (const QueryRun& run : runs) tokens += run.count;
    if (tokens <= 120) return;
    ++failed;
    fail(ErrorCode::kOutOfMemory, "memory: 7 MiB more");
  };
  SamplingOptions sampling;
  sampling.max_new_tokens = 20;
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < 64; ++id)
    requests.push_back(request_of(id, text_prompt(5, 100 + static_cast<int32_t>(id)), sampling));
  RequestDecoder decoder(*f.model, {});
  decoder.add(requests);
  Answers answers;
  finish(decoder, answers);
  f.backend.before_append = nullptr;
  EXPECT_EQ(answers.size(), 64);
  EXPECT_GT(failed, 3);
  EXPECT_LT(failed, 24);
  expect_as_alone(*f.model, requests, answers, "joined by and by");
}

TEST(decoder_gives_up_the_youngest_where_growth_does_not_fit) {
  HookedModel f(kFolder);
  f.backend.before_append = [&](const std::vector<QueryRun>& runs) {
    int32_t tokens = 0;
    for (const QueryRun& run : runs) tokens += run.first + run.count;
    if (tokens > 100) throw std::bad_alloc();
  };
  SamplingOptions greedy;
  greedy.temperature = 0;
  greedy.max_new_tokens = 70;
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < 3; ++id) requests.push_back(request_of(id, text_prompt(4, 120), greedy));
  for (DecodeRequest& request : requests) request.prompt.tokens[0] += static_cast<int32_t>(request.id);
  RequestDecoder decoder(*f.model, {});
  decoder.add(requests);
  Answers answers;
  finish(decoder, answers);
  f.backend.before_append = nullptr;
  EXPECT_TRUE(answers[1].end == DecodeEnd::kError && answers[2].end == DecodeEnd::kError);
  EXPECT_EQ(answers[2].tokens.size(), 34);
  EXPECT_EQ(answers[1].tokens.size(), 51);
  EXPECT_CONTAINS(answers[1].message, "with 1 other requests");
  EXPECT_EQ(answers[0].tokens.size(), 70);
  answers.erase(1);
  answers.erase(2);
  expect_as_alone(*f.model, requests, answers, "the oldest");
}

TEST(decoder_fails_a_request_alone_whose_numbers_are_not_finite) {
  ModelFixture f(kFolder);
  const auto prompts = golden_prompts(kFolder);
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < 4; ++id)
    requests.push_back(request_of(id, prompts[id % prompts.size()], random_lengths(15)));
  DecodeRequest bad = request_of(9, GoldenCases(kFolder).get("two_images").prompt, random_lengths(15));
  auto picture = std::make_shared<Picture>(*bad.prompt.pictures[0]);
  picture->pixel_values[3] = std::numeric_limits<float>::quiet_NaN();
  bad.prompt.pictures[0] = picture;
  RequestDecoder decoder(*f.model, {});
  decoder.add({requests[0], requests[1], bad, requests[2]});
  Answers answers;
  collect(answers, decoder.step(0, StopFlag()));
  EXPECT_TRUE(answers[9].end == DecodeEnd::kError);
  EXPECT_CONTAINS(answers[9].message, "token 0: every logit is banned");
  answers.erase(9);
  decoder.add({requests[3]});
  finish(decoder, answers);
  EXPECT_EQ(answers.size(), 4);
  expect_as_alone(*f.model, requests, answers, "beside one that is not finite");
}

// Interrupted in the midst of passes, at every layer of them.
TEST(decoder_loses_and_doubles_no_token_where_steps_are_interrupted) {
  for (const int threads : {1, 3}) {
    HookedModel f(kFolder, threads);
    Dice dice(3);
    const auto requests = random_requests(golden_prompts(kFolder), 16, dice);
    int32_t word = 0;
    int64_t countdown = 0;
    f.backend.before_append = [&](const std::vector<QueryRun>&) {
      if (--countdown == 0) word = 1;
    };
    RequestDecoder decoder(*f.model, {4});
    Answers answers;
    size_t next = 0;
    for (const DecodeRequest& request : requests) alone(*f.model, request);  // packs weights
    const size_t used = f.backend.memory_used();
    int interrupted = 0;
    while (next < requests.size() || decoder.active() + decoder.waiting() > 0) {
      if (next < requests.size() && dice.below(2) == 0) decoder.add({requests[next++]});
      word = 0;
      countdown = 1 + static_cast<int64_t>(dice.below(9));
      try {
        collect(answers, decoder.step(1e9, StopFlag(&word)));
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::kAborted);
        ++interrupted;
      }
    }
    collect(answers, decoder.step(0, StopFlag()));
    f.backend.before_append = nullptr;
    EXPECT_EQ(answers.size(), requests.size());
    for (const auto& [id, answer] : answers) EXPECT_TRUE(answer.ended);
    EXPECT_GT(interrupted, 10);
    EXPECT_LE(decoder.places(), 8u);
    EXPECT_EQ(f.backend.memory_used(), used);
    expect_as_alone(*f.model, requests, answers, "interrupted, " + show(threads) + " threads");
  }
}

TEST(decoder_whose_first_pass_was_interrupted_has_not_begun) {
  HookedModel f(kFolder);
  int32_t word = 0;
  f.backend.before_append = [&](const std::vector<QueryRun>&) { word = 1; };
  RequestDecoder decoder(*f.model, {2});
  std::vector<DecodeRequest> requests;
  for (uint64_t id = 0; id < 3; ++id) requests.push_back(request_of(id, text_prompt(5), random_lengths(9)));
  decoder.add(requests);
  EXPECT_ERROR(ErrorCode::kAborted, decoder.step(0, StopFlag(&word)));
  EXPECT_EQ(decoder.active(), 0);
  EXPECT_EQ(decoder.waiting(), 3);
  f.backend.before_append = nullptr;
  decoder.remove({0, 1});
  requests[0].sampling.max_new_tokens = 1;
  decoder.add({requests[0]});
  Answers answers;
  finish(decoder, answers);
  EXPECT_EQ(answers.size(), 2);
  EXPECT_EQ(answers[0].tokens.size(), 1);
  expect_as_alone(*f.model, requests, answers, "begun anew");
}

}  // namespace
}  // namespace vlmr1
