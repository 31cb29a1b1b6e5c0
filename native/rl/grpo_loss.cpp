#include "rl/grpo_loss.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace vlmr1 {

namespace {

// Σ over tokens of weight · loss is the aggregated loss; the weight depends on the type and the sequence.
double token_weight(const LossOptions& o, const LossSequence& s) {
  switch (o.type) {
    case LossType::kGrpo: return 1.0 / (static_cast<double>(std::max<int64_t>(s.count, 1)) * o.total_sequences);
    case LossType::kDrGrpo: return 1.0 / (static_cast<double>(o.total_sequences) * o.max_completion_length);
    case LossType::kBnpo:
    case LossType::kDapo:
    case LossType::kSft: return 1.0 / static_cast<double>(std::max<int64_t>(o.total_tokens, 1));
  }
  return 0.0;
}

struct TokenLoss {
  double value = 0.0;
  double slope = 0.0;  // d value / d logp
};

// −min(min(ρ, δ)·A, clip(ρ, 1−ε, 1+ε_high)·A), ρ = exp(logp − old). Where the clipped branch is the smaller one and ρ
// lies outside its range the gradient is 0, and likewise above δ.
TokenLoss clipped_loss(const LossOptions& o, double log_ratio, double advantage, LossResult& metrics) {
  const double ratio = std::exp(log_ratio);
  const double bounded = std::min(ratio, static_cast<double>(o.delta));
  const double low = 1.0 - o.epsilon;
  const double high = 1.0 + o.epsilon_high;
  const double clipped = std::clamp(ratio, low, high);
  const double plain = bounded * advantage;
  const double limited = clipped * advantage;
  metrics.clip_low_sum += bounded < low && advantage < 0 ? 1.0 : 0.0;
  metrics.clip_high_sum += bounded > high && advantage > 0 ? 1.0 : 0.0;
  TokenLoss loss;
  loss.value = -std::min(plain, limited);
  if (plain <= limited) loss.slope = ratio <= o.delta ? -ratio * advantage : 0.0;
  else loss.slope = ratio > low && ratio < high ? -ratio * advantage : 0.0;
  return loss;
}

TokenLoss token_loss(const LossOptions& o, double logp, double old_logp, double ref_logp, double advantage,
                     LossResult& metrics) {
  if (o.type == LossType::kSft) return {-logp, -1.0};
  TokenLoss loss = clipped_loss(o, logp - old_logp, advantage, metrics);
  if (o.beta != 0.0f) {
    // k3: e^d − d − 1, d = ref − logp.
    const double d = ref_logp - logp;
    const double kl = std::exp(d) - d - 1.0;
    metrics.kl_sum += kl;
    loss.value += o.beta * kl;
    loss.slope += o.beta * (1.0 - std::exp(d));
  }
  return loss;
}

void check_options(const LossOptions& o, size_t tokens, size_t old_tokens, size_t ref_tokens) {
  check(old_tokens == 0 || old_tokens == tokens, ErrorCode::kShape, "old log-probabilities: expected ", tokens,
        " or none, got ", old_tokens);
  check(o.beta == 0.0f || ref_tokens == tokens, ErrorCode::kShape, "reference log-probabilities: beta is ", o.beta,
        ", expected ", tokens, ", got ", ref_tokens);
  check(std::isfinite(o.beta) && o.beta >= 0, ErrorCode::kArgument, "beta: expected 0 or more, got ", o.beta);
  if (o.type == LossType::kSft || o.type == LossType::kDapo || o.type == LossType::kBnpo) {
    check(o.total_tokens > 0, ErrorCode::kArgument, "total_tokens: expected a value above 0, got ", o.total_tokens);
  } else {
    check(o.total_sequences > 0, ErrorCode::kArgument, "total_sequences: expected a value above 0, got ",
          o.total_sequences);
  }
  check(o.type != LossType::kDrGrpo || o.max_completion_length > 0, ErrorCode::kArgument,
        "max_completion_length: expected a value above 0, got ", o.max_completion_length);
  check(o.epsilon >= 0 && o.epsilon_high >= 0 && o.delta > 0, ErrorCode::kArgument,
        "epsilon, epsilon_high: expected 0 or more; delta: expected a value above 0");
}

}  // namespace

LossResult grpo_loss(const std::vector<float>& logp, const std::vector<float>& old_logp,
                     const std::vector<float>& ref_logp, const std::vector<LossSequence>& sequences,
                     const LossOptions& options) {
  check_options(options, logp.size(), old_logp.size(), ref_logp.size());
  LossResult result;
  result.dlogp.assign(logp.size(), 0.0f);
  for (const LossSequence& s : sequences) {
    check(s.first >= 0 && s.count >= 0 && s.first + s.count <= static_cast<int64_t>(logp.size()), ErrorCode::kShape,
          "sequence [", s.first, ", ", s.first + s.count, ") of ", logp.size(), " tokens");
    if (s.masked) continue;
    const double weight = token_weight(options, s);
    for (int64_t i = s.first; i < s.first + s.count; ++i) {
      const double old_value = old_logp.empty() ? logp[i] : old_logp[i];
      const double ref_value = options.beta != 0.0f ? ref_logp[i] : 0.0;
      const TokenLoss loss = token_loss(options, logp[i], old_value, ref_value, s.advantage, result);
      result.loss += weight * loss.value;
      result.dlogp[i] = static_cast<float>(weight * loss.slope);
      result.tokens++;
    }
  }
  return result;
}

}  // namespace vlmr1
