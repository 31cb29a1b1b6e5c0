// GRPO losses on token log-probabilities: value, gradient and metrics. Formulas as in TRL.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace vlmr1 {

enum class LossType { kGrpo, kBnpo, kDrGrpo, kDapo, kSft };

struct LossOptions {
  LossType type = LossType::kDapo;
  float temperature = 1.0f;
  float epsilon = 0.2f;
  float epsilon_high = 0.2f;
  float beta = 0.0f;
  float delta = std::numeric_limits<float>::infinity();
  // Denominators of the whole optimizer step.
  int64_t total_sequences = 0;
  int64_t total_tokens = 0;
  int64_t max_completion_length = 0;
};

// One completion: `count` tokens from `first` in the flat arrays.
struct LossSequence {
  int64_t first = 0;
  int64_t count = 0;
  float advantage = 0.0f;
  bool masked = false;  // left out of the loss
};

struct LossResult {
  double loss = 0.0;
  int64_t tokens = 0;
  double kl_sum = 0.0;
  double clip_low_sum = 0.0;
  double clip_high_sum = 0.0;
  std::vector<float> dlogp;  // [N]
};

// logp [N]; old_logp [N] or empty (on-policy); ref_logp [N], needed when beta > 0. Throws ERR_SHAPE, ERR_ARGUMENT.
LossResult grpo_loss(const std::vector<float>& logp, const std::vector<float>& old_logp,
                     const std::vector<float>& ref_logp, const std::vector<LossSequence>& sequences,
                     const LossOptions& options);

}  // namespace vlmr1
