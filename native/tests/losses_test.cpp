// GRPO losses: TRL's values, gradients and metrics; finite differences; values worked out by hand at the borders.
#include <cmath>
#include <numeric>

#include "core/random.h"
#include "rl/grpo_loss.h"
#include "tests/golden.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// -- Against TRL.

struct LossInputs {
  std::vector<float> logp, old_logp, ref_logp;
  std::vector<LossSequence> sequences;
  int64_t tokens = 0;                   // unmasked
  std::vector<std::vector<int>> place;  // [row][column] of the file → flat index
};

// Rows of the file without what pads them. A row whose mask is empty is a completion left out of the loss.
LossInputs read_inputs(const Json& in) {
  LossInputs out;
  const auto& mask = in.at("mask").as_array();
  const auto advantages = float_list(in.at("advantages"));
  const auto append = [](std::vector<float>& to, const Json& rows, size_t row, size_t count) {
    if (rows.is_null()) return;
    const auto values = float_list(rows.as_array()[row]);
    to.insert(to.end(), values.begin(), values.begin() + count);
  };
  for (size_t row = 0; row < mask.size(); ++row) {
    const auto bits = int_list(mask[row]);
    const size_t kept = static_cast<size_t>(std::accumulate(bits.begin(), bits.end(), 0));
    const size_t count = kept > 0 ? kept : bits.size();
    const int64_t first = static_cast<int64_t>(out.logp.size());
    out.sequences.push_back({first, static_cast<int64_t>(count), advantages[row], kept == 0});
    append(out.logp, in.at("logps"), row, count);
    append(out.old_logp, in.at("old_logps"), row, count);
    append(out.ref_logp, in.at("ref_logps"), row, count);
    out.tokens += static_cast<int64_t>(kept);
    out.place.emplace_back(bits.size(), -1);
    for (size_t i = 0; i < kept; ++i) out.place[row][i] = static_cast<int>(first) + static_cast<int>(i);
  }
  return out;
}

bool implemented(const Json& settings) {
  const std::string type = settings.at("loss_type").as_string();
  return (type == "grpo" || type == "bnpo" || type == "dr_grpo" || type == "dapo") &&
         settings.at("importance_sampling_level").as_string() == "token" &&
         settings.at("top_entropy_quantile").as_double() == 1.0 && settings.at("off_policy_mask_threshold").is_null() &&
         !settings.at("use_bias_correction_kl").as_bool();
}

// TRL's denominators; `factor` is what is left of one that is no whole number of tokens.
LossOptions read_options(const Json& s, const LossInputs& inputs, double& factor) {
  LossOptions o;
  const std::string type = s.at("loss_type").as_string();
  o.type = type == "grpo"   ? LossType::kGrpo
           : type == "bnpo" ? LossType::kBnpo
           : type == "dapo" ? LossType::kDapo
                            : LossType::kDrGrpo;
  o.beta = static_cast<float>(s.at("beta").as_double());
  o.epsilon = static_cast<float>(s.at("epsilon").as_double());
  o.epsilon_high = static_cast<float>(s.at("epsilon_high").as_double());
  o.delta = static_cast<float>(s.double_or("delta", kInfinity));
  o.max_completion_length = s.at("max_completion_length").as_int();
  const int64_t accumulation = s.at("gradient_accumulation_steps").as_int();
  o.total_sequences = static_cast<int64_t>(inputs.sequences.size()) * accumulation;
  o.total_tokens = inputs.tokens * accumulation;
  factor = 1.0;
  if (o.type == LossType::kDapo) {
    o.total_tokens = s.at("num_items_in_batch").as_int();
    factor = s.at("steps_per_generation").as_double() / static_cast<double>(accumulation);
  }
  return o;
}

TEST(losses_equal_trl) {
  const Json golden = golden_json("losses.json");
  int cases = 0;
  for (const Json& c : golden.at("cases").as_array()) {
    const Json& settings = c.at("settings");
    if (!implemented(settings)) continue;
    ++cases;
    const std::string name = c.at("name").as_string();
    const LossInputs in = read_inputs(golden.at("inputs").at(settings.at("inputs").as_string()));
    double factor = 1.0;
    const LossOptions options = read_options(settings, in, factor);
    const LossResult got = grpo_loss(in.logp, in.old_logp, in.ref_logp, in.sequences, options);
    const auto expect = [&](double value, double expected, const std::string& what) {
      if (!(std::fabs(value - expected) <= 1e-6))
        VLMR1_REPORT(name + ", " + what + ": expected " + show(expected) + ", got " + show(value));
    };
    expect(got.loss * factor, c.at("loss").as_double(), "loss");
    EXPECT_EQ(got.tokens, in.tokens);
    const auto& gradient = c.at("gradient").as_array();
    for (size_t row = 0; row < gradient.size(); ++row) {
      const auto& columns = gradient[row].as_array();
      for (size_t i = 0; i < columns.size(); ++i) {
        const int at = in.place[row][i];
        expect(at < 0 ? 0.0 : got.dlogp[at] * factor, columns[i].as_double(), "gradient " + show(row) + ", " + show(i));
      }
      if (in.sequences[row].masked)
        for (int64_t i = 0; i < in.sequences[row].count; ++i) EXPECT_EQ(got.dlogp[in.sequences[row].first + i], 0.0f);
    }
    const Json& metrics = c.at("metrics");
    const double tokens = static_cast<double>(in.tokens);
    expect(got.clip_low_sum / tokens, metrics.at("clip_ratio/low_mean").as_double(), "clip_ratio/low_mean");
    expect(got.clip_high_sum / tokens, metrics.at("clip_ratio/high_mean").as_double(), "clip_ratio/high_mean");
    if (options.beta > 0) expect(got.kl_sum / tokens, metrics.at("kl").as_double(), "kl");
  }
  EXPECT_EQ(cases, 28);
}

// A micro-batch is a part of the sum: what two of them add up to is what one gives.
TEST(losses_of_micro_batches_add_up) {
  const Json golden = golden_json("losses.json");
  const LossInputs in = read_inputs(golden.at("inputs").at("plain"));
  for (const LossType type : {LossType::kGrpo, LossType::kBnpo, LossType::kDrGrpo, LossType::kDapo, LossType::kSft}) {
    LossOptions options{type, 1.0f, 0.2f, 0.28f, 0.04f, kInfinity, 5, in.tokens, 16};
    const LossResult all = grpo_loss(in.logp, in.old_logp, in.ref_logp, in.sequences, options);
    double loss = 0.0, kl = 0.0;
    std::vector<float> gradient(in.logp.size());
    for (const LossSequence& s : in.sequences) {
      const LossResult part = grpo_loss(in.logp, in.old_logp, in.ref_logp, {s}, options);
      loss += part.loss;
      kl += part.kl_sum;
      for (size_t i = 0; i < gradient.size(); ++i) gradient[i] += part.dlogp[i];
    }
    EXPECT_NEAR(loss, all.loss, 1e-12);
    EXPECT_NEAR(kl, all.kl_sum, 1e-12);
    EXPECT_TRUE(same_bits(gradient, all.dlogp));
  }
}

// -- Finite differences.

TEST(losses_gradients_are_finite_differences) {
  constexpr float kStep = 0x1p-10f;
  std::vector<float> logp, old_logp, ref_logp;
  std::vector<LossSequence> sequences;
  for (int s = 0; s < 6; ++s) {
    sequences.push_back({s * 20, 20, static_cast<float>(random_normal(1, 2, s)), s == 4});
    for (int i = 0; i < 20; ++i) {
      logp.push_back(static_cast<float>(-0.5 - 3.0 * random_uniform(2, s, i, 0)));
      old_logp.push_back(logp.back() + static_cast<float>(0.3 * random_normal(3, s, i)));
      ref_logp.push_back(logp.back() + static_cast<float>(0.5 * random_normal(4, s, i)));
    }
  }
  for (const LossType type : {LossType::kGrpo, LossType::kBnpo, LossType::kDrGrpo, LossType::kDapo, LossType::kSft}) {
    for (const float delta : {kInfinity, 1.4f}) {
      const LossOptions options{type, 1.0f, 0.2f, 0.28f, 0.1f, delta, 6, 100, 24};
      const LossResult at = grpo_loss(logp, old_logp, ref_logp, sequences, options);
      int flat = 0, compared = 0;
      for (size_t i = 0; i < logp.size(); ++i) {
        const double ratio = std::exp(double{logp[i]} - old_logp[i]);
        const auto near = [&](double border) { return std::fabs(ratio - border) < 0.01; };
        if (near(0.8) || near(1.28) || near(1.4)) continue;
        std::vector<float> above = logp, below = logp;
        above[i] += kStep;
        below[i] -= kStep;
        const double rise = grpo_loss(above, old_logp, ref_logp, sequences, options).loss -
                            grpo_loss(below, old_logp, ref_logp, sequences, options).loss;
        EXPECT_NEAR(at.dlogp[i], rise / (double{above[i]} - below[i]), 3e-8);
        ++compared;
        flat += at.dlogp[i] == 0.0f ? 1 : 0;
      }
      EXPECT_GT(compared, 100);
      EXPECT_GE(flat, 18);  // the masked sequence at least
    }
  }
}

// -- By hand.

LossResult one_token(const LossOptions& options, double ratio, float advantage, double ref_minus_logp = 0.0) {
  const float logp = -1.0f;
  return grpo_loss({logp}, {static_cast<float>(logp - std::log(ratio))}, {static_cast<float>(logp + ref_minus_logp)},
                   {{0, 1, advantage, false}}, options);
}

LossOptions dapo(float beta = 0.0f, float delta = kInfinity) {
  return {LossType::kDapo, 1.0f, 0.2f, 0.28f, beta, delta, 0, 1, 0};
}

TEST(losses_by_hand_around_the_clip_borders) {
  struct {
    double ratio;
    float advantage;
    double loss, slope, low, high;
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
    EXPECT_EQ(got.clip_low_sum, c.low);
    EXPECT_EQ(got.clip_high_sum, c.high);
  }
}

// At a border itself the gradient flows, as through torch.clamp: with epsilon 0 the border is where training starts.
TEST(losses_by_hand_at_the_borders) {
  LossOptions options = dapo();
  options.epsilon = options.epsilon_high = 0.0f;
  for (const float delta : {kInfinity, 1.0f}) {
    options.delta = delta;
    for (const float advantage : {1.5f, -1.5f}) {
      const LossResult got = grpo_loss({-0.25f}, {}, {}, {{0, 1, advantage, false}}, options);
      EXPECT_EQ(got.loss, -advantage);
      EXPECT_EQ(got.dlogp[0], -advantage);
      EXPECT_EQ(got.clip_low_sum + got.clip_high_sum, 0.0);
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
    return grpo_loss(logp, {}, {}, sequences, {type, 1.0f, 0.2f, 0.2f, 0.0f, kInfinity, 4, 10, 8});
  };
  // Σ over sequences of the mean over tokens, by 4 sequences; all tokens by 4 · 8; by 10 tokens.
  EXPECT_NEAR(loss(LossType::kGrpo).loss, -(1.0 + 3.0) / 4, 1e-12);
  EXPECT_NEAR(loss(LossType::kGrpo).dlogp[0], -1.0 / 3 / 4, 1e-7);
  EXPECT_NEAR(loss(LossType::kDrGrpo).loss, -(3 * 1.0 + 3.0) / 32, 1e-12);
  EXPECT_NEAR(loss(LossType::kBnpo).loss, -(3 * 1.0 + 3.0) / 10, 1e-12);
  EXPECT_NEAR(loss(LossType::kDapo).loss, -(3 * 1.0 + 3.0) / 10, 1e-12);
}

TEST(losses_sft_is_the_negative_log_likelihood) {
  const std::vector<float> logp{-0.5f, -2.0f, -1.0f, -4.0f};
  const std::vector<LossSequence> sequences{
      {0, 2, 7.0f, false}, {2, 0, 0.0f, false}, {2, 1, 0.0f, true}, {3, 1, 0.0f, false}};
  LossOptions options;
  options.type = LossType::kSft;
  options.total_tokens = 4;
  // Neither advantages nor old log-probabilities matter.
  const LossResult got = grpo_loss(logp, {-9, -9, -9, -9}, {}, sequences, options);
  EXPECT_NEAR(got.loss, (0.5 + 2.0 + 4.0) / 4, 1e-12);
  EXPECT_EQ(got.tokens, 3);
  EXPECT_EQ(got.dlogp, (std::vector<float>{-0.25f, -0.25f, 0.0f, -0.25f}));
  EXPECT_EQ(got.clip_low_sum + got.clip_high_sum + got.kl_sum, 0.0);
}

TEST(losses_of_nothing) {
  const LossResult got = grpo_loss({}, {}, {}, {}, dapo());
  EXPECT_EQ(got.loss, 0.0);
  EXPECT_EQ(got.tokens, 0);
  EXPECT_TRUE(got.dlogp.empty());
}

TEST(losses_refuse_what_does_not_fit) {
  const std::vector<float> logp{-1, -2};
  const std::vector<LossSequence> all{{0, 2, 1.0f, false}};
  const auto run = [&](const LossOptions& o) { return grpo_loss(logp, {}, logp, all, o); };
  EXPECT_ERROR_WITH(ErrorCode::kShape, "expected 2", grpo_loss(logp, {-1}, {}, all, dapo()));
  EXPECT_ERROR_WITH(ErrorCode::kShape, "beta is 0.1", grpo_loss(logp, {}, {}, all, dapo(0.1f)));
  EXPECT_ERROR(ErrorCode::kShape, grpo_loss(logp, {}, {-1}, all, dapo(0.1f)));
  EXPECT_ERROR_WITH(ErrorCode::kShape, "[1, 3) of 2", grpo_loss(logp, {}, {}, {{1, 2, 0, false}}, dapo()));
  EXPECT_ERROR(ErrorCode::kShape, grpo_loss(logp, {}, {}, {{-1, 2, 0, false}}, dapo()));
  EXPECT_ERROR(ErrorCode::kShape, grpo_loss(logp, {}, {}, {{0, -1, 0, false}}, dapo()));
  for (const float beta : {-0.1f, kNaN, kInfinity}) EXPECT_ERROR_WITH(ErrorCode::kArgument, "beta", run(dapo(beta)));
  for (const float delta : {0.0f, -1.0f, kNaN}) EXPECT_ERROR(ErrorCode::kArgument, run(dapo(0.0f, delta)));
  LossOptions o = dapo();
  o.epsilon = -0.1f;
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "epsilon", run(o));
  o = dapo();
  o.epsilon_high = kNaN;
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "epsilon", run(o));
  for (const LossType type : {LossType::kDapo, LossType::kBnpo, LossType::kSft}) {
    o = {type, 1.0f, 0.2f, 0.2f, 0.0f, kInfinity, 5, 0, 5};
    EXPECT_ERROR_WITH(ErrorCode::kArgument, "total_tokens", run(o));
  }
  for (const LossType type : {LossType::kGrpo, LossType::kDrGrpo}) {
    o = {type, 1.0f, 0.2f, 0.2f, 0.0f, kInfinity, 0, 5, 5};
    EXPECT_ERROR_WITH(ErrorCode::kArgument, "total_sequences", run(o));
  }
  o = {LossType::kDrGrpo, 1.0f, 0.2f, 0.2f, 0.0f, kInfinity, 5, 5, 0};
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "max_completion_length", run(o));
}

}  // namespace
}  // namespace vlmr1
