// GRPO losses where numbers end: at borders, of ratios without end, of what is no number.
#include <cmath>
#include <limits>

#include "rl/grpo_loss.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

constexpr LossType kTypes[] = {LossType::kGrpo,  LossType::kBnpo, LossType::kDrGrpo, LossType::kDapo,
                               LossType::kCispo, LossType::kSapo, LossType::kLuspo,  LossType::kVespo};

LossOptions loss_of(LossType type, double beta = 0.0, double delta = kInfinity) {
  return {type, 1.0f, 0.2, 0.28, beta, delta, 1, 1, 1};
}

// Where delta is the lower one the range's own border is met from the other side.
TEST(losses_by_hand_at_the_border_above_delta) {
  LossOptions options = loss_of(LossType::kDapo, 0.0, 0.5);
  options.epsilon_high = 0.0;
  const LossResult got = grpo_loss(LossInputs{{-0.25f}, {}, {}, {}, {}}, {{0, 1, -1.5f, false}}, options);
  EXPECT_EQ(got.loss, 1.5);
  EXPECT_EQ(got.dlogp[0], 1.5f);
}

// e¹⁹⁹⁹ is no double. Where it is bounded, or counts nothing, nothing becomes NaN.
TEST(losses_of_ratios_without_end) {
  const LossInputs in{{-1.0f}, {-2000.0f}, {-1.0f}, {}, {}};
  for (const LossType type : kTypes) {
    for (const auto level : {ImportanceSampling::kToken, ImportanceSampling::kSequence}) {
      for (const float advantage : {0.0f, 1.0f, -1.0f}) {
        LossOptions o = loss_of(type, 0.1);
        o.importance_sampling = level;
        o.bias_correction_kl = true;
        const LossResult got = grpo_loss(in, {{0, 1, advantage, false}}, o);
        EXPECT_TRUE(!std::isnan(got.loss) && !std::isnan(got.dlogp[0]));
        if (advantage == 0.0f) EXPECT_EQ(got.loss, 0.0);
        const bool bounded = type == LossType::kCispo || type == LossType::kSapo || type == LossType::kVespo;
        EXPECT_EQ(std::isfinite(got.dlogp[0]), bounded || advantage >= 0.0f);
      }
    }
  }
}

// A gradient of 0 would hide it: with NaN the step is skipped and the parameter named.
TEST(losses_of_numbers_that_are_none_reach_the_gradient) {
  for (const LossType type : {LossType::kGrpo, LossType::kDapo, LossType::kCispo, LossType::kSapo}) {
    for (const LossInputs& in :
         {LossInputs{{kNaN, -1}, {-1, -1}, {}, {}, {}}, LossInputs{{-1, -1}, {kNaN, -1}, {}, {}, {}}}) {
      LossOptions o = loss_of(type);
      EXPECT_TRUE(std::isnan(grpo_loss(in, {{0, 2, 1.0f, false}}, o).dlogp[0]));
      EXPECT_TRUE(std::isfinite(grpo_loss(in, {{0, 2, 1.0f, false}}, o).dlogp[1]));
      o.importance_sampling = ImportanceSampling::kSequence;
      EXPECT_TRUE(std::isnan(grpo_loss(in, {{0, 2, 1.0f, false}}, o).dlogp[1]));
      EXPECT_TRUE(std::isnan(grpo_loss(in, {{0, 2, 1.0f, false}}, o).loss));
    }
  }
}

}  // namespace
}  // namespace vlmr1
