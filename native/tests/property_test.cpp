// What the design promises of the whole model: a shared prompt changes nothing, rollout and training agree to the bit,
// and neither threads, recompute nor micro-batches change a bit.
#include <algorithm>
#include <cstdio>

#include "rl/generate.h"
#include "rl/objective.h"
#include "tests/model_fixture.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

SamplingOptions sampling(float temperature, int32_t tokens) {
  SamplingOptions s;
  s.temperature = temperature;
  s.max_new_tokens = tokens;
  s.stop_tokens = {290};
  return s;
}

std::vector<Prompt> prompts_of(const GoldenCases& cases) {
  std::vector<Prompt> prompts;
  for (const GoldenCase& c : cases.all()) prompts.push_back(c.prompt);
  return prompts;
}

std::vector<Group> groups_of(const std::vector<Prompt>& prompts, const std::vector<std::vector<Completion>>& rollout) {
  std::vector<Group> groups;
  for (size_t i = 0; i < prompts.size(); ++i) {
    Group group{prompts[i], {}};
    for (const Completion& c : rollout[i]) group.completions.push_back(c.tokens);
    groups.push_back(std::move(group));
  }
  return groups;
}

Objective grpo(const std::vector<Group>& groups) {
  Objective o;
  o.loss.type = LossType::kDapo;
  o.loss.temperature = 0.9f;
  o.loss.total_tokens = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    o.advantages.emplace_back();
    for (size_t c = 0; c < groups[g].completions.size(); ++c) {
      o.advantages[g].push_back(0.3f * static_cast<float>(c) - 0.4f);
      o.loss.total_tokens += static_cast<double>(groups[g].completions[c].size());
    }
  }
  return o;
}

std::vector<float> gradients(ModelFixture& f) {
  std::vector<float> all;
  for (const Parameter& p : f.model->parameters().all()) {
    const auto g = to_vector(*f.backend, p.grad);
    all.insert(all.end(), g.begin(), g.end());
  }
  return all;
}

std::vector<Group> sampled_groups(ModelFixture& f, const GoldenCases& cases, int32_t n, int32_t tokens) {
  const auto prompts = prompts_of(cases);
  return groups_of(prompts, generate(*f.model, prompts, {n, sampling(0.9f, tokens), 7}, StopFlag(), nullptr));
}

TEST(property_rollout_and_training_log_probabilities_are_the_same_bits) {
  for (const auto& folder : golden_models()) {
    for (const std::string& isa : cpu_isa_info().supported) {
      ModelFixture f(folder, 2, full_training(), isa);
      const auto prompts = prompts_of(GoldenCases(folder));
      // Longer than a block of keys, so that decoding crosses one.
      const auto rollout = generate(*f.model, prompts, {5, sampling(0.9f, 70), 3}, StopFlag(), nullptr);
      const auto groups = groups_of(prompts, rollout);
      const AccumulateResult trained = accumulate(*f.model, groups, grpo(groups), StopFlag());
      const TokenScores scored = score(*f.model, groups, 0.9f, AdapterMode::Use::kOn, StopFlag());
      size_t tokens = 0;
      for (size_t g = 0; g < groups.size(); ++g) {
        for (size_t c = 0; c < groups[g].completions.size(); ++c) {
          EXPECT_TRUE(same_bits(rollout[g][c].log_probs, trained.log_probs[g][c]));
          EXPECT_TRUE(same_bits(rollout[g][c].log_probs, scored.log_probs[g][c]));
          tokens += rollout[g][c].tokens.size();
        }
      }
      EXPECT_GT(tokens, size_t{300});
    }
  }
}

TEST(property_shared_prompt_equals_unshared) {
  double worst = 0;
  for (const auto& folder : golden_models()) {
    ModelFixture f(folder);
    const GoldenCases cases(folder);
    const auto groups = sampled_groups(f, cases, 4, 12);
    const Objective shared = grpo(groups);
    const AccumulateResult together = accumulate(*f.model, groups, shared, StopFlag());
    const auto expected = gradients(f);
    f.model->parameters().zero_grad(*f.backend);
    double loss = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      for (size_t c = 0; c < groups[g].completions.size(); ++c) {
        Objective one = shared;
        one.advantages = {{shared.advantages[g][c]}};
        const AccumulateResult alone =
            accumulate(*f.model, {{groups[g].prompt, {groups[g].completions[c]}}}, one, StopFlag());
        loss += alone.loss;
        EXPECT_TRUE(same_bits(alone.log_probs[0][0], together.log_probs[g][c]));
      }
    }
    EXPECT_NEAR(loss, together.loss, std::abs(together.loss) * 1e-5);
    const double error = relative_norm_error(gradients(f), expected);
    worst = std::max(worst, error);
    EXPECT_LE(error, 1e-5);
  }
  std::printf("  shared against unshared gradients: relative norm error %.2e\n", worst);
}

TEST(property_threads_and_recompute_change_no_bit) {
  for (const auto& folder : golden_models()) {
    std::vector<float> expected;
    std::vector<std::vector<int32_t>> tokens;
    for (const int threads : {1, 2, 3, 5}) {
      for (const bool checkpointing : {false, true}) {
        ModelFixture f(folder, threads, full_training(checkpointing));
        const auto groups = sampled_groups(f, GoldenCases(folder), 3, 20);
        accumulate(*f.model, groups, grpo(groups), StopFlag());
        const auto got = gradients(f);
        if (expected.empty()) {
          expected = got;
          tokens = groups[1].completions;
        }
        EXPECT_EQ(groups[1].completions, tokens);
        EXPECT_TRUE(same_bits(got, expected));
      }
    }
  }
}

TEST(property_completions_do_not_depend_on_the_rest_of_the_batch) {
  ModelFixture f("qwen2_5_vl_a");
  const auto prompts = prompts_of(GoldenCases("qwen2_5_vl_a"));
  const auto all = generate(*f.model, prompts, {3, sampling(1.0f, 16), 11, 100}, StopFlag(), nullptr);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto alone = generate(*f.model, {prompts[i]}, {3, sampling(1.0f, 16), 11, 100 + i}, StopFlag(), nullptr);
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(alone[0][c].tokens, all[i][c].tokens);
      EXPECT_TRUE(same_bits(alone[0][c].log_probs, all[i][c].log_probs));
    }
  }
}

TEST(property_stop_tokens_end_and_picture_tokens_never_come) {
  ModelFixture f("qwen2_5_vl_a");
  const auto prompts = prompts_of(GoldenCases("qwen2_5_vl_a"));
  SamplingOptions s = sampling(3.0f, 40);
  s.stop_tokens = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144};
  const auto out = generate(*f.model, prompts, {40, s, 5}, StopFlag(), nullptr);
  int stopped = 0;
  for (const auto& completions : out) {
    for (const Completion& c : completions) {
      for (size_t i = 0; i < c.tokens.size(); ++i) {
        const bool stop = std::count(s.stop_tokens.begin(), s.stop_tokens.end(), c.tokens[i]) > 0;
        EXPECT_EQ(stop, c.stopped && i + 1 == c.tokens.size());
        EXPECT_TRUE(c.tokens[i] != f.model->info().image_token_id && c.tokens[i] != f.model->info().video_token_id);
      }
      stopped += c.stopped ? 1 : 0;
      EXPECT_TRUE(c.stopped || c.tokens.size() == 40);
    }
  }
  EXPECT_GT(stopped, 10);
}

TEST(property_frozen_vision_gets_no_gradient) {
  ModelFixture f("qwen2_5_vl_b", 2, with_frozen("qwen2_5_vl_b", {Part::kVision, Part::kMerger}));
  const auto groups = sampled_groups(f, GoldenCases("qwen2_5_vl_b"), 2, 8);
  accumulate(*f.model, groups, grpo(groups), StopFlag());
  ModelFixture full("qwen2_5_vl_b");
  accumulate(*full.model, groups, grpo(groups), StopFlag());
  for (const Parameter& p : f.model->parameters().all()) {
    EXPECT_EQ(p.trainable, p.name.rfind("visual.", 0) != 0);
    if (!p.trainable) continue;
    const auto expected = to_vector(*full.backend, full.model->parameters().get(p.name).grad);
    EXPECT_TRUE(same_bits(to_vector(*f.backend, p.grad), expected));
  }
}

TEST(property_a_step_leaves_no_activations_behind) {
  ModelFixture f("qwen2_5_vl_a");
  const auto groups = sampled_groups(f, GoldenCases("qwen2_5_vl_a"), 3, 20);
  accumulate(*f.model, groups, grpo(groups), StopFlag());
  const size_t used = f.backend->memory_used();
  for (int i = 0; i < 3; ++i) accumulate(*f.model, groups, grpo(groups), StopFlag());
  EXPECT_EQ(f.backend->memory_used(), used);
}

}  // namespace
}  // namespace vlmr1
