// Scoring and training over packed trees: one forward for a group's prompt, its completions as children.
#pragma once

#include <vector>

#include "core/stop.h"
#include "models/model.h"
#include "rl/grpo_loss.h"

namespace vlmr1 {

// [group][completion][token]
using TokenValues = std::vector<std::vector<std::vector<float>>>;

struct TokenScores {
  TokenValues log_probs;
  TokenValues entropy;
};

// Log-probabilities and entropies at the temperature, no gradient.
TokenScores score(Model& model, const std::vector<Group>& groups, float temperature, AdapterMode::Use adapter,
                  const StopFlag& stop);

struct Objective {
  LossOptions loss;
  std::vector<std::vector<float>> advantages;  // [group][completion]; unused by SFT
  TokenValues old_log_probs;                   // empty: on-policy
  TokenValues ref_log_probs;                   // needed when beta > 0
  std::vector<std::vector<uint8_t>> keep;      // [group][completion]; empty: all kept
  uint64_t dropout_seed = 0;                   // of adapters
};

struct AccumulateResult {
  double loss = 0.0;
  int64_t tokens = 0;
  double entropy_sum = 0.0;
  double kl_sum = 0.0;
  double clip_low_sum = 0.0;
  double clip_high_sum = 0.0;
  TokenValues log_probs;
};

// Forward and backward of one micro-batch; adds to the parameters' gradients.
AccumulateResult accumulate(Model& model, const std::vector<Group>& groups, const Objective& objective,
                            const StopFlag& stop);

}  // namespace vlmr1
