// The losses' way through a model: the entropy bonus reaches the weights, masks leave out what they say.
#include "rl/objective.h"

#include <cmath>

#include "core/random.h"
#include "tests/model_fixture.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

const char* const kFolder = "qwen2_5_vl_a";

// Two groups with pictures, two completions each.
std::vector<Group> some_groups() {
  const GoldenCases cases(kFolder);
  std::vector<Group> groups;
  for (const char* name : {"one_image", "text"}) {
    const GoldenCase& c = cases.get(name);
    const std::vector<int32_t> half(c.completion.begin(), c.completion.begin() + c.completion.size() / 2 + 1);
    groups.push_back({c.prompt, {c.completion, half}});
  }
  return groups;
}

double count_tokens(const std::vector<Group>& groups) {
  double tokens = 0;
  for (const Group& group : groups)
    for (const auto& completion : group.completions) tokens += static_cast<double>(completion.size());
  return tokens;
}

Objective objective_of(const std::vector<Group>& groups, float advantage, double entropy_coef) {
  Objective o;
  o.loss.temperature = 0.9f;
  o.loss.total_tokens = o.loss.total_entropy_tokens = count_tokens(groups);
  o.loss.entropy_coef = entropy_coef;
  for (const Group& group : groups) o.advantages.emplace_back(group.completions.size(), advantage);
  return o;
}

std::vector<std::vector<float>> gradients(ModelFixture& f) {
  std::vector<std::vector<float>> all;
  for (const Parameter& p : f.model->parameters().all()) all.push_back(to_vector(*f.backend, p.grad));
  return all;
}

double entropy_sum(ModelFixture& f, const std::vector<Group>& groups) {
  const TokenScores scores = score(*f.model, groups, 0.9f, AdapterMode::Use::kOn, StopFlag());
  double sum = 0.0;
  for (const auto& group : scores.entropy)
    for (const auto& tokens : group)
      for (const float value : tokens) sum += value;
  return sum;
}

// θ = start + step · gradient, of all weights.
void move(ModelFixture& f, const std::vector<std::vector<float>>& start,
          const std::vector<std::vector<float>>& gradient, double step) {
  size_t index = 0;
  for (Parameter& p : f.model->parameters().all()) {
    std::vector<float> values = start[index];
    for (size_t i = 0; i < values.size(); ++i) values[i] += static_cast<float>(step * gradient[index][i]);
    f.backend->upload(p.master, values.data());
    ++index;
  }
  f.model->parameters().refresh(*f.backend);
}

TEST(objective_entropy_bonus_is_the_slope_of_the_entropy) {
  const auto groups = some_groups();
  for (const bool checkpointing : {false, true}) {
    ModelFixture f(kFolder, 2, full_training(checkpointing));
    const AccumulateResult got = accumulate(*f.model, groups, objective_of(groups, 0.0f, 2.0), StopFlag());
    EXPECT_EQ(got.policy_loss, 0.0);
    const double tokens = count_tokens(groups);
    EXPECT_NEAR(got.entropy_sum, entropy_sum(f, groups), 1e-9);
    EXPECT_NEAR(got.loss, -2.0 * got.entropy_sum / tokens, 1e-9);
    const auto slope = gradients(f);
    double squares = 0.0;
    std::vector<std::vector<float>> start;
    for (const Parameter& p : f.model->parameters().all()) start.push_back(to_vector(*f.backend, p.value));
    for (const auto& tensor : slope)
      for (const float g : tensor) squares += double{g} * g;
    EXPECT_GT(squares, 0.0);
    const double step = 2e-3 / std::sqrt(squares);
    move(f, start, slope, step);
    const double above = -2.0 * entropy_sum(f, groups) / tokens;
    move(f, start, slope, -step);
    const double below = -2.0 * entropy_sum(f, groups) / tokens;
    EXPECT_NEAR((above - below) / (2 * step) / squares, 1.0, 5e-3);
  }
}

// The bonus adds to the gradient of the loss; whatever the threads and the recomputation, the same bits.
TEST(objective_bits_with_an_entropy_bonus) {
  const auto groups = some_groups();
  std::vector<std::vector<float>> expected;
  for (const int threads : {1, 3}) {
    for (const bool checkpointing : {false, true}) {
      ModelFixture f(kFolder, threads, full_training(checkpointing));
      accumulate(*f.model, groups, objective_of(groups, 0.7f, 0.5), StopFlag());
      const auto got = gradients(f);
      if (expected.empty()) expected = got;
      for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i]));
    }
  }
}

TEST(objective_token_mask_leaves_tokens_out) {
  const auto groups = some_groups();
  ModelFixture f(kFolder);
  Objective o = objective_of(groups, 1.0f, 0.25);
  o.loss.type = LossType::kCispo;
  o.loss.epsilon_high = 5.0;
  for (const Group& group : groups) {
    o.token_mask.emplace_back();
    for (const auto& completion : group.completions) o.token_mask.back().emplace_back(completion.size(), 0);
  }
  o.token_mask[1][0][1] = 1;
  const AccumulateResult got = accumulate(*f.model, groups, o, StopFlag());
  const auto gradient = gradients(f);
  // What is left: log p of one token, and its entropy.
  const TokenScores scores = score(*f.model, groups, 0.9f, AdapterMode::Use::kOn, StopFlag());
  const double tokens = count_tokens(groups);
  EXPECT_NEAR(got.policy_loss, -scores.log_probs[1][0][1] / tokens, 1e-9);
  EXPECT_NEAR(got.loss, got.policy_loss - 0.25 * scores.entropy[1][0][1] / tokens, 1e-9);
  EXPECT_EQ(got.tokens, static_cast<int64_t>(tokens));
  // The other completions have none of it.
  f.model->parameters().zero_grad(*f.backend);
  Objective alone = o;
  alone.advantages = {{1.0f}};
  alone.token_mask = {{o.token_mask[1][0]}};
  accumulate(*f.model, {{groups[1].prompt, {groups[1].completions[0]}}}, alone, StopFlag());
  const auto same = gradients(f);
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < same.size(); ++i) {
    for (size_t j = 0; j < same[i].size(); ++j) {
      difference += std::pow(double{same[i][j]} - gradient[i][j], 2);
      norm += std::pow(double{gradient[i][j]}, 2);
    }
  }
  EXPECT_GT(norm, 0.0);
  EXPECT_LE(std::sqrt(difference / norm), 1e-5);
  o.token_mask[1][0].pop_back();
  EXPECT_ERROR_WITH(ErrorCode::kShape, "token mask, group 1", accumulate(*f.model, groups, o, StopFlag()));
}

// The loss by itself is the one of training.
TEST(objective_loss_gradient_is_the_loss_of_training) {
  const auto groups = some_groups();
  ModelFixture f(kFolder);
  const TokenScores scores = score(*f.model, groups, 0.9f, AdapterMode::Use::kOn, StopFlag());
  Objective o = objective_of(groups, -0.5f, 0.25);
  o.loss.beta = 0.1;
  o.loss.bias_correction_kl = true;
  o.old_log_probs = o.ref_log_probs = scores.log_probs;
  uint64_t index = 0;
  for (auto* values : {&o.old_log_probs, &o.ref_log_probs})
    for (auto& group : *values)
      for (auto& tokens : group)
        for (float& value : tokens) value += static_cast<float>(0.3 * random_normal(8, index++, 0));
  o.keep = {{1, 1}, {0, 1}};
  const LossGradient got = loss_gradient(scores, o);
  const AccumulateResult trained = accumulate(*f.model, groups, o, StopFlag());
  EXPECT_EQ(got.sums.loss, trained.loss);
  EXPECT_EQ(got.sums.policy_loss, trained.policy_loss);
  EXPECT_EQ(got.sums.kl_sum, trained.kl_sum);
  EXPECT_EQ(got.sums.entropy_sum, trained.entropy_sum);
  EXPECT_EQ(got.sums.tokens, trained.tokens);
  EXPECT_EQ(got.sums.clip.count, trained.clip.count);
  EXPECT_EQ(got.sums.clip.low, trained.clip.low);
  EXPECT_EQ(got.sums.clip.completions, 3);
  REQUIRE(got.d_log_prob.size() == groups.size() && got.d_entropy.size() == groups.size());
  EXPECT_EQ(got.d_log_prob[1][0], std::vector<float>(groups[1].completions[0].size(), 0.0f));
  EXPECT_TRUE(got.d_log_prob[0][0][0] != 0.0f);
  EXPECT_EQ(got.d_entropy[0][0][0], static_cast<float>(-0.25 / count_tokens(groups)));
}

}  // namespace
}  // namespace vlmr1
