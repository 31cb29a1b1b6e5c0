// Scoring and training over packed trees: one forward for a group's prompt, its completions as children.
#pragma once

#include <vector>

#include "core/stop.h"
#include "models/model.h"
#include "rl/grpo_loss.h"

namespace vlmr1 {

// [group][completion][token]
using TokenValues = std::vector<std::vector<std::vector<float>>>;
using TokenMask = std::vector<std::vector<std::vector<uint8_t>>>;

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
  TokenMask token_mask;                        // 0 leaves a token out of all but the KL term; empty: none
  uint64_t dropout_seed = 0;                   // of adapters
};

// A loss by itself, of log-probabilities and entropies from anywhere.
struct LossGradient {
  LossResult sums;         // without its arrays
  TokenValues d_log_prob;  // d loss / d log-probability
  TokenValues d_entropy;   // empty without an entropy bonus
};
// `entropy` is needed for the bonus, and may be empty else. Throws ERR_SHAPE, ERR_ARGUMENT.
LossGradient loss_gradient(const TokenScores& scores, const Objective& objective);

struct AccumulateResult {
  double loss = 0.0;
  double policy_loss = 0.0;  // without the entropy bonus
  int64_t tokens = 0;
  double entropy_sum = 0.0;
  double kl_sum = 0.0;
  ClipSums clip;
  TokenValues log_probs;
};

// Forward and backward of one micro-batch; adds to the parameters' gradients.
AccumulateResult accumulate(Model& model, const std::vector<Group>& groups, const Objective& objective,
                            const StopFlag& stop);

}  // namespace vlmr1
