// GRPO losses on token log-probabilities: value, gradients and metrics. Formulas as in TRL 1.13.
//
// With r = logp − old (0, but with a gradient, where there is no old policy) the ratio is ρ = e^r of a token, or
// ρ = e^mean(r) of a completion, which then stands at each of its tokens and whose gradient goes to all of them. A
// token's policy term, A being its completion's advantage and sg[·] without gradient:
//
//   grpo bnpo dr_grpo dapo luspo   −min(min(ρ, δ)·A, clip(ρ, 1 − ε, 1 + ε_high)·A)
//   cispo                          −sg[min(ρ, ε_high)]·A·logp
//   sapo                           −A·σ(τ·(ρ − 1))·4/τ, τ by the sign of A
//   vespo                          −sg[φ]·A·logp, φ = e^(λ + k·w − λ·e^w), k and λ by the sign of A,
//                                  w = Σ clamp(r, ±20) over the completion, in [ln 1e-8, 20]
//
// It is 0 where the token mask or the off-policy mask leaves the token out. β·k3, k3 = e^d − d − 1, d = ref − logp, is
// added to it, times ρ where `bias_correction_kl`. What a token's term is multiplied with:
//
//   grpo sapo                1 / (its completion's tokens · total_sequences)
//   luspo                    1 / total_sequences
//   dr_grpo                  1 / (total_sequences · max_completion_length)
//   bnpo dapo cispo vespo    1 / total_tokens
//
// The entropy bonus is −entropy_coef · Σ entropy / total_entropy_tokens over the tokens that the token mask keeps.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace vlmr1 {

enum class LossType { kGrpo, kBnpo, kDrGrpo, kDapo, kCispo, kSapo, kLuspo, kVespo, kSft };
enum class ImportanceSampling { kToken, kSequence };

struct LossOptions {
  LossType type = LossType::kDapo;
  float temperature = 1.0f;  // of the log-probabilities
  double epsilon = 0.2;
  double epsilon_high = 0.2;  // cispo: the largest ratio itself
  double beta = 0.0;
  double delta = std::numeric_limits<double>::infinity();
  // Denominators of the whole optimizer step.
  int64_t total_sequences = 0;
  double total_tokens = 0.0;
  int64_t max_completion_length = 0;

  ImportanceSampling importance_sampling = ImportanceSampling::kToken;
  bool bias_correction_kl = false;
  double sapo_temperature_pos = 1.0;
  double sapo_temperature_neg = 1.05;
  double vespo_k_pos = 2.0;
  double vespo_lambda_pos = 3.0;
  double vespo_k_neg = 3.0;
  double vespo_lambda_neg = 2.0;
  // A completion with an advantage below 0 and a mean of old − logp above this is left out of the policy term.
  double off_policy_threshold = std::numeric_limits<double>::infinity();
  double entropy_coef = 0.0;
  double total_entropy_tokens = 0.0;
};

// One completion: `count` tokens from `first` in the flat arrays.
struct LossSequence {
  int64_t first = 0;
  int64_t count = 0;
  float advantage = 0.0f;
  bool masked = false;  // left out of everything
};

// Of N tokens.
struct LossInputs {
  std::vector<float> logp;          // [N]
  std::vector<float> old_logp;      // [N], or empty: on-policy
  std::vector<float> ref_logp;      // [N]; needed where beta > 0
  std::vector<float> entropy;       // [N]; needed for the bonus, else empty is allowed
  std::vector<uint8_t> token_mask;  // [N], or empty: none is left out
};

// What bounds the step from the old policy did. Token mask and off-policy mask change nothing here.
struct ClipSums {
  // Tokens, or completions where the ratio is theirs, that were looked at, and of these those whose ratio left the
  // range on the side where that stops (cispo: bounds) the gradient. sapo, vespo and sft clip nothing.
  int64_t count = 0;
  int64_t low = 0;
  int64_t high = 0;
  // The least and the greatest share of one completion.
  double low_min = std::numeric_limits<double>::infinity();
  double high_max = -std::numeric_limits<double>::infinity();
  int64_t completions = 0;  // in the loss
  int64_t off_policy = 0;   // that the off-policy mask left out of the policy term
  double phi = 0.0;         // Σ φ over completions
};

struct LossResult {
  double loss = 0.0;
  double policy_loss = 0.0;  // without the entropy bonus
  int64_t tokens = 0;        // of completions that are not masked
  double kl_sum = 0.0;       // over these tokens, with the ratio where that is in the KL term
  double entropy_sum = 0.0;  // over these tokens
  ClipSums clip;
  std::vector<float> dlogp;     // [N]
  std::vector<float> dentropy;  // [N]; empty without an entropy bonus
};

// Throws ERR_SHAPE, ERR_ARGUMENT.
LossResult grpo_loss(const LossInputs& in, const std::vector<LossSequence>& sequences, const LossOptions& options);

}  // namespace vlmr1
