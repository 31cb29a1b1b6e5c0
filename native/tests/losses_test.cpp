// GRPO losses: sums over micro-batches, finite differences, values worked out by hand at the borders.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "rl/grpo_loss.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// -- Properties.

constexpr LossType kTypes[] = {LossType::kGrpo, LossType::kBnpo,  LossType::kDrGrpo, LossType::kDapo, LossType::kCispo,
                               LossType::kSapo, LossType::kLuspo, LossType::kVespo,  LossType::kSft};

struct Batch {
  LossInputs in;
  std::vector<LossSequence> sequences;
};

// Six completions of 20 tokens, the fifth left out, with a token in five masked.
Batch random_batch() {
  Batch b;
  for (int s = 0; s < 6; ++s) {
    b.sequences.push_back({s * 20, 20, static_cast<float>(random_normal(1, 2, s)), s == 4});
    for (int i = 0; i < 20; ++i) {
      b.in.logp.push_back(static_cast<float>(-0.5 - 3.0 * random_uniform(2, s, i, 0)));
      b.in.old_logp.push_back(b.in.logp.back() + static_cast<float>(0.3 * random_normal(3, s, i)));
      b.in.ref_logp.push_back(b.in.logp.back() + static_cast<float>(0.5 * random_normal(4, s, i)));
      b.in.entropy.push_back(static_cast<float>(2.0 * random_uniform(5, s, i, 0)));
      b.in.token_mask.push_back(i % 5 != 2);
    }
  }
  return b;
}

// Every loss, with everything that goes with it.
std::vector<LossOptions> all_losses() {
  std::vector<LossOptions> list;
  for (const LossType type : kTypes) {
    for (const auto level : {ImportanceSampling::kToken, ImportanceSampling::kSequence}) {
      for (const double delta : {double{kInfinity}, 1.4}) {
        for (const bool corrected : {false, true}) {
          LossOptions o{type, 1.0f, 0.2, 0.28, 0.1, delta, 6, 100.5, 24};
          if (type == LossType::kCispo) o.epsilon_high = 1.28;
          o.importance_sampling = level;
          o.bias_correction_kl = corrected;
          o.entropy_coef = 0.03;
          o.total_entropy_tokens = 80;
          o.off_policy_threshold = 0.02;
          list.push_back(o);
        }
      }
    }
  }
  return list;
}

// A micro-batch is a part of the sum: what they add up to is what one gives.
TEST(losses_of_micro_batches_add_up) {
  const Batch b = random_batch();
  for (const LossOptions& options : all_losses()) {
    const LossResult all = grpo_loss(b.in, b.sequences, options);
    LossResult sum;
    std::vector<float> dlogp(b.in.logp.size()), dentropy(b.in.logp.size());
    for (const LossSequence& s : b.sequences) {
      const LossResult part = grpo_loss(b.in, {s}, options);
      sum.loss += part.loss;
      sum.policy_loss += part.policy_loss;
      sum.kl_sum += part.kl_sum;
      sum.entropy_sum += part.entropy_sum;
      sum.tokens += part.tokens;
      sum.clip.count += part.clip.count;
      sum.clip.low += part.clip.low;
      sum.clip.high += part.clip.high;
      sum.clip.low_min = std::min(sum.clip.low_min, part.clip.low_min);
      sum.clip.high_max = std::max(sum.clip.high_max, part.clip.high_max);
      sum.clip.completions += part.clip.completions;
      sum.clip.off_policy += part.clip.off_policy;
      sum.clip.phi += part.clip.phi;
      for (size_t i = 0; i < dlogp.size(); ++i) {
        dlogp[i] += part.dlogp[i];
        dentropy[i] += part.dentropy[i];
      }
    }
    EXPECT_NEAR(sum.loss, all.loss, 1e-12);
    EXPECT_NEAR(sum.policy_loss, all.policy_loss, 1e-12);
    EXPECT_NEAR(sum.kl_sum, all.kl_sum, 1e-12);
    EXPECT_NEAR(sum.entropy_sum, all.entropy_sum, 1e-12);
    EXPECT_EQ(sum.tokens, all.tokens);
    EXPECT_EQ(sum.clip.count, all.clip.count);
    EXPECT_EQ(sum.clip.low, all.clip.low);
    EXPECT_EQ(sum.clip.high, all.clip.high);
    EXPECT_EQ(sum.clip.low_min, all.clip.low_min);
    EXPECT_EQ(sum.clip.high_max, all.clip.high_max);
    EXPECT_EQ(sum.clip.completions, 5);
    EXPECT_EQ(sum.clip.off_policy, all.clip.off_policy);
    EXPECT_NEAR(sum.clip.phi, all.clip.phi, 1e-12);
    EXPECT_TRUE(same_bits(dlogp, all.dlogp));
    EXPECT_TRUE(same_bits(dentropy, all.dentropy));
  }
}

// The loss as a function whose gradient is that of the loss itself: cispo and vespo weigh log p by numbers that their
// gradient does not see, which here stay as they are at `at`.
double frozen_loss(const LossInputs& in, const Batch& at, const LossOptions& o) {
  const bool frozen = o.type == LossType::kCispo || o.type == LossType::kVespo;
  if (!frozen) return grpo_loss(in, at.sequences, o).loss;
  LossOptions no_kl = o;
  no_kl.beta = 0.0;
  no_kl.entropy_coef = 0.0;
  const LossResult there = grpo_loss(at.in, at.sequences, no_kl);
  double loss = grpo_loss(in, at.sequences, o).loss - grpo_loss(in, at.sequences, no_kl).loss;
  for (size_t i = 0; i < in.logp.size(); ++i) loss += double{there.dlogp[i]} * in.logp[i];
  return loss;
}

TEST(losses_gradients_are_finite_differences) {
  constexpr float kStep = 0x1p-10f;
  const Batch b = random_batch();
  for (const LossOptions& options : all_losses()) {
    const LossResult at = grpo_loss(b.in, b.sequences, options);
    int flat = 0, compared = 0;
    for (size_t i = 0; i < b.in.logp.size(); ++i) {
      const double ratio = std::exp(double{b.in.logp[i]} - b.in.old_logp[i]);
      const auto near = [&](double border) { return std::fabs(ratio - border) < 0.01; };
      if (near(0.8) || near(1.28) || near(1.4)) continue;
      LossInputs above = b.in, below = b.in;
      above.logp[i] += kStep;
      below.logp[i] -= kStep;
      const double rise = frozen_loss(above, b, options) - frozen_loss(below, b, options);
      // Losses that no length divides are larger.
      const double allowed = options.type == LossType::kLuspo ? 6e-7 : 3e-8;
      EXPECT_NEAR(at.dlogp[i], rise / (double{above.logp[i]} - below.logp[i]), allowed);
      ++compared;
      flat += at.dlogp[i] == 0.0f ? 1 : 0;
      above = b.in;
      above.entropy[i] += 1.0f;
      const double more = grpo_loss(above, b.sequences, options).loss - at.loss;
      EXPECT_NEAR(at.dentropy[i], more / (double{above.entropy[i]} - b.in.entropy[i]), 1e-9);
    }
    EXPECT_GT(compared, 100);
    EXPECT_GE(flat, 18);  // the masked sequence at least
  }
}

// -- By hand.

LossResult one_token(const LossOptions& options, double ratio, float advantage, double ref_minus_logp = 0.0) {
  const float logp = -1.0f;
  const LossInputs in{
      {logp}, {static_cast<float>(logp - std::log(ratio))}, {static_cast<float>(logp + ref_minus_logp)}, {}, {}};
  return grpo_loss(in, {{0, 1, advantage, false}}, options);
}

LossOptions loss_of(LossType type, double beta = 0.0, double delta = kInfinity) {
  return {type, 1.0f, 0.2, 0.28, beta, delta, 1, 1, 1};
}
LossOptions dapo(double beta = 0.0, double delta = kInfinity) { return loss_of(LossType::kDapo, beta, delta); }

LossInputs only(const std::vector<float>& logp) { return {logp, {}, {}, {}, {}}; }

TEST(losses_by_hand_around_the_clip_borders) {
  struct {
    double ratio;
    float advantage;
    double loss, slope;
    int64_t low, high;
  } const kCases[] = {
      {1.00, +2.0f, -2.00, -2.00, 0, 0}, {1.27, +2.0f, -2.54, -2.54, 0, 0},  // just inside
      {1.29, +2.0f, -2.56, 0.000, 0, 1},                                     // just outside: held at 1.28, no gradient
      {1.29, -2.0f, +2.58, +2.58, 0, 0},  // a bad token that grew likelier is not protected
      {0.81, -2.0f, +1.62, +1.62, 0, 0}, {0.79, -2.0f, +1.60, 0.000, 1, 0},
      {0.79, +2.0f, -1.58, -1.58, 0, 0}, {5.00, +0.0f, 0.000, 0.000, 0, 0},
  };
  for (const auto& c : kCases) {
    const LossResult got = one_token(dapo(), c.ratio, c.advantage);
    EXPECT_NEAR(got.loss, c.loss, 1e-6);
    EXPECT_NEAR(got.dlogp[0], c.slope, 1e-6);
    EXPECT_EQ(got.clip.low, c.low);
    EXPECT_EQ(got.clip.high, c.high);
  }
}

// At a border itself the gradient flows, as through torch.clamp: with epsilon 0 the border is where training starts.
TEST(losses_by_hand_at_the_borders) {
  LossOptions options = dapo();
  options.epsilon = options.epsilon_high = 0.0;
  for (const float delta : {kInfinity, 1.0f}) {
    options.delta = delta;
    for (const float advantage : {1.5f, -1.5f}) {
      const LossResult got = grpo_loss(only({-0.25f}), {{0, 1, advantage, false}}, options);
      EXPECT_EQ(got.loss, -advantage);
      EXPECT_EQ(got.dlogp[0], -advantage);
      EXPECT_EQ(got.clip.low + got.clip.high, 0);
    }
  }
}

TEST(losses_by_hand_with_delta) {
  // Two-sided: a bad token's loss is bounded too.
  const LossResult above = one_token(dapo(0.0f, 1.5f), 2.0, -1.0f);
  EXPECT_NEAR(above.loss, 1.5, 1e-6);
  EXPECT_EQ(above.dlogp[0], 0.0f);
  const LossResult below = one_token(dapo(0.0f, 1.5f), 1.4, -1.0f);
  EXPECT_NEAR(below.loss, 1.4, 1e-6);
  EXPECT_NEAR(below.dlogp[0], 1.4, 1e-6);
}

TEST(losses_by_hand_kl) {
  // ref is twice as likely: k3 = 2 − ln 2 − 1, slope 1 − 2.
  const LossResult got = one_token(dapo(0.5f), 1.0, 0.0f, std::log(2.0));
  EXPECT_NEAR(got.kl_sum, 1.0 - std::log(2.0), 1e-6);
  EXPECT_NEAR(got.loss, 0.5 * (1.0 - std::log(2.0)), 1e-6);
  EXPECT_NEAR(got.dlogp[0], -0.5, 1e-6);
  EXPECT_EQ(one_token(dapo(0.0f), 1.0, 0.0f, 1.0).kl_sum, 0.0);
}

TEST(losses_by_hand_denominators) {
  const std::vector<float> logp{-1, -1, -1, -1};
  const std::vector<LossSequence> sequences{{0, 3, 1.0f, false}, {3, 1, 3.0f, false}};
  const auto loss = [&](LossType type) {
    return grpo_loss(only(logp), sequences, {type, 1.0f, 0.2, 0.2, 0.0, kInfinity, 4, 10, 8});
  };
  // Σ over sequences of the mean over tokens, by 4 sequences; all tokens by 4 · 8; by 10 tokens.
  EXPECT_NEAR(loss(LossType::kGrpo).loss, -(1.0 + 3.0) / 4, 1e-12);
  EXPECT_NEAR(loss(LossType::kGrpo).dlogp[0], -1.0 / 3 / 4, 1e-7);
  EXPECT_NEAR(loss(LossType::kDrGrpo).loss, -(3 * 1.0 + 3.0) / 32, 1e-12);
  EXPECT_NEAR(loss(LossType::kBnpo).loss, -(3 * 1.0 + 3.0) / 10, 1e-12);
  EXPECT_NEAR(loss(LossType::kDapo).loss, -(3 * 1.0 + 3.0) / 10, 1e-12);
  // Of which luspo takes no mean. log p is -1 everywhere.
  EXPECT_NEAR(loss(LossType::kLuspo).loss, -(3 * 1.0 + 3.0) / 4, 1e-12);
  EXPECT_NEAR(loss(LossType::kCispo).loss, (3 * 1.0 + 3.0) * 0.2 / 10, 1e-12);
  EXPECT_NEAR(loss(LossType::kVespo).loss, (3 * 1.0 + 3.0) / 10, 1e-12);
  EXPECT_NEAR(loss(LossType::kSapo).loss, -(1.0 + 3.0) * 2 / 4, 1e-12);
}

TEST(losses_sft_is_the_negative_log_likelihood) {
  const std::vector<float> logp{-0.5f, -2.0f, -1.0f, -4.0f};
  const std::vector<LossSequence> sequences{
      {0, 2, 7.0f, false}, {2, 0, 0.0f, false}, {2, 1, 0.0f, true}, {3, 1, 0.0f, false}};
  LossOptions options;
  options.type = LossType::kSft;
  options.total_tokens = 4;
  // Neither advantages nor old log-probabilities nor the token mask matter.
  const LossResult got = grpo_loss({logp, {-9, -9, -9, -9}, {}, {}, {0, 0, 0, 0}}, sequences, options);
  EXPECT_NEAR(got.loss, (0.5 + 2.0 + 4.0) / 4, 1e-12);
  EXPECT_EQ(got.tokens, 3);
  EXPECT_EQ(got.dlogp, (std::vector<float>{-0.25f, -0.25f, 0.0f, -0.25f}));
  EXPECT_EQ(got.clip.count, 0);
  EXPECT_EQ(got.kl_sum, 0.0);
}

TEST(losses_of_nothing) {
  const LossResult got = grpo_loss({}, {}, dapo());
  EXPECT_EQ(got.loss, 0.0);
  EXPECT_EQ(got.tokens, 0);
  EXPECT_TRUE(got.dlogp.empty());
}

// Two completions of one token each way, their ratio that of the mean.
TEST(losses_by_hand_of_completions) {
  LossOptions o{LossType::kGrpo, 1.0f, 0.2, 0.28, 0.5, kInfinity, 2, 1, 1};
  o.importance_sampling = ImportanceSampling::kSequence;
  o.bias_correction_kl = true;
  // Means of log ρ: ln 1.2, within the range; ln 1.5 over two tokens, above it.
  const float a = static_cast<float>(std::log(1.2)), b = static_cast<float>(std::log(1.5));
  LossInputs in{{-1, -1, -2, -2}, {-1 - 2 * a, -1, -2 - 2 * b, -2}, {-1, -1, -2, -2}, {}, {}};
  const std::vector<LossSequence> sequences{{0, 2, 2.0f, false}, {2, 2, 1.0f, false}};
  LossResult got = grpo_loss(in, sequences, o);
  EXPECT_NEAR(got.loss, -(1.2 * 2.0 + 1.28) / 2, 1e-6);
  // Of the first both tokens get a half of -ρ·A/2; of the second, which is clipped, none does.
  for (const int i : {0, 1}) EXPECT_NEAR(got.dlogp[i], -1.2 * 2.0 / 2 / 2, 1e-6);
  for (const int i : {2, 3}) EXPECT_EQ(got.dlogp[i], 0.0f);
  EXPECT_EQ(got.clip.count, 2);
  EXPECT_EQ(got.clip.high, 1);
  EXPECT_EQ(got.clip.low_min, 0.0);
  EXPECT_EQ(got.clip.high_max, 1.0);
  // The reference is e times as likely at the last token: k3 = e − 2, times ρ = 1.5, which clipping does not touch.
  in.ref_logp[3] = -1;
  const double e = std::exp(1.0);
  got = grpo_loss(in, sequences, o);
  EXPECT_NEAR(got.kl_sum, 1.5 * (e - 2), 1e-5);
  EXPECT_NEAR(got.loss, -(1.2 * 2.0 + 1.28) / 2 + 0.5 * 1.5 * (e - 2) / 4, 1e-6);
  EXPECT_NEAR(got.dlogp[2], 0.5 * 1.5 * (e - 2) / 2 / 4, 1e-6);
  EXPECT_NEAR(got.dlogp[3], 0.5 * 1.5 * ((e - 2) / 2 + 1 - e) / 4, 1e-6);
}

TEST(losses_by_hand_of_bounded_and_soft_ratios) {
  LossOptions o = loss_of(LossType::kCispo);
  o.epsilon_high = 1.5;
  EXPECT_NEAR(one_token(o, 1.4, 2.0f).loss, 1.4 * 2.0, 1e-6);  // log p is -1
  EXPECT_NEAR(one_token(o, 1.4, 2.0f).dlogp[0], -1.4 * 2.0, 1e-6);
  EXPECT_EQ(one_token(o, 1.4, 2.0f).clip.high, 0);
  // Bounded, and the gradient stays.
  EXPECT_NEAR(one_token(o, 2.0, 2.0f).dlogp[0], -1.5 * 2.0, 1e-6);
  EXPECT_EQ(one_token(o, 2.0, 2.0f).clip.high, 1);
  EXPECT_EQ(one_token(o, 2.0, -2.0f).clip.high, 0);
  o = loss_of(LossType::kSapo);
  o.sapo_temperature_neg = 2.0;
  EXPECT_NEAR(one_token(o, 1.0, 1.0f).loss, -2.0, 1e-6);
  EXPECT_NEAR(one_token(o, 1.0, 1.0f).dlogp[0], -1.0, 1e-6);
  const double gate = 1.0 / (1.0 + std::exp(-2.0));
  EXPECT_NEAR(one_token(o, 2.0, -1.0f).loss, 2.0 * gate, 1e-6);
  EXPECT_NEAR(one_token(o, 2.0, -1.0f).dlogp[0], 4.0 * gate * (1 - gate) * 2.0, 1e-6);
  // φ(1) = 1; φ(2) = e^(3 + 2·ln 2 − 6); where nothing is left of it, nothing of the loss is.
  EXPECT_NEAR(one_token(loss_of(LossType::kVespo), 1.0, 2.0f).dlogp[0], -2.0, 1e-6);
  EXPECT_NEAR(one_token(loss_of(LossType::kVespo), 2.0, 1.0f).clip.phi, 4 * std::exp(-3.0), 1e-6);
  EXPECT_EQ(one_token(loss_of(LossType::kVespo), 1e8, 1.0f).loss, 0.0);
  o = loss_of(LossType::kVespo);
  o.vespo_k_pos = 1e30;
  EXPECT_EQ(one_token(o, 2.0, 1.0f).clip.phi, 0.0);  // infinite
}

TEST(losses_by_hand_of_masks) {
  const LossInputs in{{-1, -2, -1, -1}, {-1, -2, -0.5f, -0.9f}, {0, 0, 0, 0}, {1, 2, 3, 4}, {1, 0, 1, 1}};
  const std::vector<LossSequence> sequences{{0, 2, 1.0f, false}, {2, 2, -1.0f, false}};
  LossOptions o{LossType::kDapo, 1.0f, 0.9, 0.9, 0.5, kInfinity, 0, 4, 0};
  o.off_policy_threshold = 0.31;
  o.entropy_coef = 0.1;
  o.total_entropy_tokens = 3;
  const double e = std::exp(1.0);
  const double kl = 3 * (e - 2) + e * e - 3;
  LossResult got = grpo_loss(in, sequences, o);
  // The token mask keeps the second token out of all but the KL term, and is no part of the denominators.
  EXPECT_EQ(got.clip.off_policy, 0);
  EXPECT_NEAR(got.policy_loss, (-1.0 + std::exp(-0.5) + std::exp(-0.1) + 0.5 * kl) / 4, 1e-6);
  EXPECT_NEAR(got.loss, got.policy_loss - 0.1 * (1 + 3 + 4) / 3, 1e-6);
  EXPECT_NEAR(got.dlogp[1], 0.5 * (1 - e * e) / 4, 1e-6);
  EXPECT_EQ(got.dentropy[1], 0.0f);
  EXPECT_NEAR(got.dentropy[3], -0.1 / 3, 1e-7);
  EXPECT_EQ(got.entropy_sum, 10.0);
  EXPECT_EQ(got.tokens, 4);
  // Bad, and 0.3 per token away on average: its KL term and its entropy stay.
  o.off_policy_threshold = 0.29;
  got = grpo_loss(in, sequences, o);
  EXPECT_EQ(got.clip.off_policy, 1);
  EXPECT_EQ(got.clip.count, 4);
  EXPECT_NEAR(got.policy_loss, (-1.0 + 0.5 * kl) / 4, 1e-6);
  EXPECT_NEAR(got.loss, got.policy_loss - 0.1 * (1 + 3 + 4) / 3, 1e-6);
}

TEST(losses_refuse_what_does_not_fit) {
  const std::vector<float> logp{-1, -2};
  const std::vector<LossSequence> all{{0, 2, 1.0f, false}};
  const auto run = [&](const LossOptions& o) { return grpo_loss({logp, {}, logp, logp, {}}, all, o); };
  EXPECT_ERROR_WITH(ErrorCode::kShape, "expected 2", grpo_loss({logp, {-1}, {}, {}, {}}, all, dapo()));
  EXPECT_ERROR_WITH(ErrorCode::kShape, "entropies: expected 2", grpo_loss({logp, {}, {}, {1}, {}}, all, dapo()));
  EXPECT_ERROR_WITH(ErrorCode::kShape, "token mask: expected 2", grpo_loss({logp, {}, {}, {}, {1}}, all, dapo()));
  EXPECT_ERROR_WITH(ErrorCode::kShape, "beta is 0.1", grpo_loss(only(logp), all, dapo(0.1)));
  EXPECT_ERROR(ErrorCode::kShape, grpo_loss({logp, {}, {-1}, {}, {}}, all, dapo(0.1)));
  EXPECT_ERROR_WITH(ErrorCode::kShape, "[1, 3) of 2", grpo_loss(only(logp), {{1, 2, 0, false}}, dapo()));
  EXPECT_ERROR(ErrorCode::kShape, grpo_loss(only(logp), {{-1, 2, 0, false}}, dapo()));
  EXPECT_ERROR(ErrorCode::kShape, grpo_loss(only(logp), {{0, -1, 0, false}}, dapo()));
  for (const float beta : {-0.1f, kNaN, kInfinity}) EXPECT_ERROR_WITH(ErrorCode::kArgument, "beta", run(dapo(beta)));
  for (const float delta : {0.0f, -1.0f, kNaN}) EXPECT_ERROR(ErrorCode::kArgument, run(dapo(0.0, delta)));
  const auto refuses = [&](LossType type, const char* name, double LossOptions::*member, double value) {
    LossOptions o = loss_of(type);
    o.*member = value;
    EXPECT_ERROR_WITH(ErrorCode::kArgument, name, run(o));
  };
  refuses(LossType::kDapo, "epsilon", &LossOptions::epsilon, -0.1);
  refuses(LossType::kDapo, "epsilon_high", &LossOptions::epsilon_high, kNaN);
  refuses(LossType::kDapo, "off_policy_threshold", &LossOptions::off_policy_threshold, 0.0);
  refuses(LossType::kDapo, "entropy_coef", &LossOptions::entropy_coef, -1.0);
  refuses(LossType::kDapo, "total_entropy_tokens", &LossOptions::entropy_coef, 0.1);
  refuses(LossType::kSapo, "sapo_temperature_pos", &LossOptions::sapo_temperature_pos, 0.0);
  refuses(LossType::kSapo, "sapo_temperature_neg", &LossOptions::sapo_temperature_neg, kNaN);
  refuses(LossType::kVespo, "vespo_k_pos", &LossOptions::vespo_k_pos, -1.0);
  refuses(LossType::kVespo, "vespo_lambda_neg", &LossOptions::vespo_lambda_neg, kInfinity);
  for (const LossType type : {LossType::kDapo, LossType::kBnpo, LossType::kCispo, LossType::kVespo, LossType::kSft})
    refuses(type, "total_tokens", &LossOptions::total_tokens, 0.0);
  for (const LossType type : {LossType::kGrpo, LossType::kDrGrpo, LossType::kSapo, LossType::kLuspo}) {
    LossOptions o = loss_of(type);
    o.total_sequences = 0;
    EXPECT_ERROR_WITH(ErrorCode::kArgument, "total_sequences", run(o));
  }
  LossOptions o = loss_of(LossType::kDrGrpo);
  o.max_completion_length = 0;
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "max_completion_length", run(o));
  o = dapo();
  o.entropy_coef = 0.1;
  o.total_entropy_tokens = 1;
  EXPECT_ERROR_WITH(ErrorCode::kShape, "entropy_coef is 0.1", grpo_loss(only(logp), all, o));
}

}  // namespace
}  // namespace vlmr1
