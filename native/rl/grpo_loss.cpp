#include "rl/grpo_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace vlmr1 {

namespace {

// Σ over tokens of weight · term is the aggregated loss; the weight depends on the type and the completion.
double token_weight(const LossOptions& o, const LossSequence& s) {
  const double sequences = static_cast<double>(o.total_sequences);
  switch (o.type) {
    case LossType::kGrpo:
    case LossType::kSapo: return 1.0 / (static_cast<double>(std::max<int64_t>(s.count, 1)) * sequences);
    case LossType::kLuspo: return 1.0 / sequences;
    case LossType::kDrGrpo: return 1.0 / (sequences * static_cast<double>(o.max_completion_length));
    case LossType::kBnpo:
    case LossType::kDapo:
    case LossType::kCispo:
    case LossType::kVespo:
    case LossType::kSft: return 1.0 / o.total_tokens;
  }
  return 0.0;
}

bool divides_by_tokens(LossType type) {
  return type == LossType::kBnpo || type == LossType::kDapo || type == LossType::kCispo || type == LossType::kVespo ||
         type == LossType::kSft;
}

bool clips(LossType type) { return type != LossType::kSapo && type != LossType::kVespo && type != LossType::kSft; }

// What the tokens of a completion share.
struct Shared {
  double log_ratio = 0.0;  // mean of the tokens'
  double phi = 1.0;        // of vespo
  bool off_policy = false;
};

// A token's term, or a part of it.
struct Term {
  double value = 0.0;
  double slope = 0.0;        // d value / d logp of this token
  double ratio_slope = 0.0;  // d value / d log ρ
};

double log_ratio(const LossInputs& in, int64_t i) {
  return in.old_logp.empty() ? 0.0 : double{in.logp[i]} - in.old_logp[i];
}

// φ of the completion's log ratio `sum`, in log space. What is no finite number becomes 0.
double vespo_phi(const LossOptions& o, double sum, double advantage) {
  constexpr double kLeastLambda = 1e-4;
  const double w = std::clamp(sum, std::log(1e-8), 20.0);
  const double k = advantage >= 0 ? o.vespo_k_pos : o.vespo_k_neg;
  const double lambda = std::max(advantage >= 0 ? o.vespo_lambda_pos : o.vespo_lambda_neg, kLeastLambda);
  const double phi = std::exp(lambda + k * w - lambda * std::exp(w));
  return std::isfinite(phi) ? phi : 0.0;
}

Shared shared_by(const LossOptions& o, const LossInputs& in, const LossSequence& s) {
  Shared shared;
  double sum = 0.0, bounded = 0.0;
  for (int64_t i = s.first; i < s.first + s.count; ++i) {
    const double r = log_ratio(in, i);
    sum += r;
    bounded += std::clamp(r, -20.0, 20.0);
  }
  shared.log_ratio = sum / static_cast<double>(s.count);
  if (o.type == LossType::kVespo) shared.phi = vespo_phi(o, bounded, s.advantage);
  shared.off_policy = s.advantage < 0 && -shared.log_ratio > o.off_policy_threshold;
  return shared;
}

// Where the clipped branch is the smaller one and ρ lies outside its range the gradient is 0, and likewise above δ. At
// the borders themselves it flows, as through torch.clamp.
Term clipped_term(const LossOptions& o, double ratio, double advantage) {
  const double low = 1.0 - o.epsilon;
  const double high = 1.0 + o.epsilon_high;
  const double plain = std::min(ratio, o.delta) * advantage;
  const double limited = std::clamp(ratio, low, high) * advantage;
  // Asked this way round a NaN comes through to the gradient, where it is seen.
  const bool stops = plain <= limited ? ratio > o.delta : ratio < low || ratio > high;
  return {-std::min(plain, limited), 0.0, stops ? 0.0 : -ratio * advantage};
}

Term soft_term(const LossOptions& o, double ratio, double advantage) {
  const double temperature = advantage > 0 ? o.sapo_temperature_pos : o.sapo_temperature_neg;
  const double gate = 1.0 / (1.0 + std::exp(-temperature * (ratio - 1.0)));
  return {-gate * 4.0 / temperature * advantage, 0.0, -4.0 * gate * (1.0 - gate) * ratio * advantage};
}

Term policy_term(const LossOptions& o, const Shared& shared, double logp, double ratio, double advantage) {
  switch (o.type) {
    case LossType::kSapo: return soft_term(o, ratio, advantage);
    case LossType::kCispo: {
      const double factor = -std::min(ratio, o.epsilon_high) * advantage;
      return {factor * logp, factor, 0.0};
    }
    case LossType::kVespo: {
      const double factor = -shared.phi * advantage;
      return {factor * logp, factor, 0.0};
    }
    case LossType::kSft: return {-logp, -1.0, 0.0};
    default: return clipped_term(o, ratio, advantage);
  }
}

// k3 = e^d − d − 1, d = ref − logp, which the ratio multiplies where the bias is corrected.
Term kl_term(const LossOptions& o, double logp, double ref_logp, double ratio) {
  const double d = ref_logp - logp;
  const double kl = std::exp(d) - d - 1.0;
  const double slope = 1.0 - std::exp(d);
  if (!o.bias_correction_kl) return {kl, slope, 0.0};
  return {kl * ratio, slope * ratio, kl * ratio};
}

void count_clips(const LossOptions& o, const LossSequence& s, const std::vector<double>& ratios, ClipSums& sums) {
  int64_t low = 0, high = 0;
  for (const double ratio : ratios) {
    if (o.type == LossType::kCispo) {
      high += ratio > o.epsilon_high && s.advantage > 0 ? 1 : 0;
    } else {
      const double bounded = std::min(ratio, o.delta);
      low += bounded < 1.0 - o.epsilon && s.advantage < 0 ? 1 : 0;
      high += bounded > 1.0 + o.epsilon_high && s.advantage > 0 ? 1 : 0;
    }
  }
  const int64_t count = static_cast<int64_t>(ratios.size());
  sums.count += count;
  sums.low += low;
  sums.high += high;
  sums.low_min = std::min(sums.low_min, static_cast<double>(low) / static_cast<double>(count));
  sums.high_max = std::max(sums.high_max, static_cast<double>(high) / static_cast<double>(count));
}

// Not infinite: that times an advantage of 0, or times a slope that has ended, would be NaN.
double ratio_of(double log_ratio) { return std::min(std::exp(log_ratio), std::numeric_limits<double>::max()); }

// The ratio of each token, or the one of the completion.
std::vector<double> ratios_of(const LossOptions& o, const LossInputs& in, const LossSequence& s, const Shared& shared) {
  if (o.importance_sampling == ImportanceSampling::kSequence) return {ratio_of(shared.log_ratio)};
  std::vector<double> ratios(static_cast<size_t>(s.count));
  for (int64_t i = 0; i < s.count; ++i) ratios[i] = ratio_of(log_ratio(in, s.first + i));
  return ratios;
}

void add_policy_and_kl(const LossOptions& o, const LossInputs& in, const LossSequence& s, LossResult& result) {
  const Shared shared = shared_by(o, in, s);
  const bool sft = o.type == LossType::kSft;
  const bool by_token = o.importance_sampling == ImportanceSampling::kToken;
  const std::vector<double> ratios = ratios_of(o, in, s, shared);
  const double weight = token_weight(o, s);
  std::vector<double> slopes(static_cast<size_t>(s.count));
  double spread = 0.0;  // Σ of what flows through the completion's own ratio
  for (int64_t n = 0; n < s.count; ++n) {
    const int64_t i = s.first + n;
    const double ratio = ratios[by_token ? n : 0];
    const bool left_out = !sft && (shared.off_policy || (!in.token_mask.empty() && in.token_mask[i] == 0));
    Term term;
    if (!left_out) term = policy_term(o, shared, in.logp[i], ratio, s.advantage);
    if (!sft && o.beta != 0.0) {
      const Term kl = kl_term(o, in.logp[i], in.ref_logp[i], ratio);
      result.kl_sum += kl.value;
      term.value += o.beta * kl.value;
      term.slope += o.beta * kl.slope;
      term.ratio_slope += o.beta * kl.ratio_slope;
    }
    result.policy_loss += weight * term.value;
    slopes[n] = weight * (by_token ? term.slope + term.ratio_slope : term.slope);
    spread += weight * term.ratio_slope;
  }
  const double each = by_token ? 0.0 : spread / static_cast<double>(s.count);
  for (int64_t n = 0; n < s.count; ++n) result.dlogp[s.first + n] = static_cast<float>(slopes[n] + each);
  result.tokens += s.count;
  if (clips(o.type)) count_clips(o, s, ratios, result.clip);
  result.clip.completions++;
  result.clip.off_policy += shared.off_policy && !sft ? 1 : 0;
  if (o.type == LossType::kVespo) result.clip.phi += shared.phi;
}

// Adds to `bonus` the entropies that the bonus is a mean of.
void add_entropy(const LossOptions& o, const LossInputs& in, const LossSequence& s, LossResult& result, double& bonus) {
  if (in.entropy.empty()) return;
  for (int64_t i = s.first; i < s.first + s.count; ++i) {
    result.entropy_sum += in.entropy[i];
    if (result.dentropy.empty() || (!in.token_mask.empty() && in.token_mask[i] == 0)) continue;
    bonus += in.entropy[i];
    result.dentropy[i] = static_cast<float>(-o.entropy_coef / o.total_entropy_tokens);
  }
}

void check_arrays(const LossOptions& o, const LossInputs& in) {
  const size_t tokens = in.logp.size();
  const auto fits = [&](const char* what, size_t got) {
    check(got == 0 || got == tokens, ErrorCode::kShape, what, ": expected ", tokens, " or none, got ", got);
  };
  fits("old log-probabilities", in.old_logp.size());
  fits("entropies", in.entropy.size());
  fits("token mask", in.token_mask.size());
  check(o.beta == 0.0 || in.ref_logp.size() == tokens, ErrorCode::kShape, "reference log-probabilities: beta is ",
        o.beta, ", expected ", tokens, ", got ", in.ref_logp.size());
  check(o.entropy_coef == 0.0 || in.entropy.size() == tokens, ErrorCode::kShape, "entropies: entropy_coef is ",
        o.entropy_coef, ", expected ", tokens, ", got ", in.entropy.size());
}

void check_options(const LossOptions& o) {
  const auto at_least_zero = [](const char* what, double value) {
    check(std::isfinite(value) && value >= 0, ErrorCode::kArgument, what, ": expected 0 or more, got ", value);
  };
  const auto positive = [](const char* what, double value) {
    check(std::isfinite(value) && value > 0, ErrorCode::kArgument, what, ": expected a value above 0, got ", value);
  };
  at_least_zero("beta", o.beta);
  at_least_zero("epsilon", o.epsilon);
  at_least_zero("epsilon_high", o.epsilon_high);
  at_least_zero("entropy_coef", o.entropy_coef);
  check(o.delta > 0, ErrorCode::kArgument, "delta: expected a value above 0, got ", o.delta);
  check(o.off_policy_threshold > 0, ErrorCode::kArgument, "off_policy_threshold: expected a value above 0, got ",
        o.off_policy_threshold);
  if (o.type == LossType::kSapo) {
    positive("sapo_temperature_pos", o.sapo_temperature_pos);
    positive("sapo_temperature_neg", o.sapo_temperature_neg);
  }
  if (o.type == LossType::kVespo) {
    at_least_zero("vespo_k_pos", o.vespo_k_pos);
    at_least_zero("vespo_lambda_pos", o.vespo_lambda_pos);
    at_least_zero("vespo_k_neg", o.vespo_k_neg);
    at_least_zero("vespo_lambda_neg", o.vespo_lambda_neg);
  }
  if (divides_by_tokens(o.type)) positive("total_tokens", o.total_tokens);
  else positive("total_sequences", static_cast<double>(o.total_sequences));
  if (o.type == LossType::kDrGrpo) positive("max_completion_length", static_cast<double>(o.max_completion_length));
  if (o.entropy_coef != 0.0) positive("total_entropy_tokens", o.total_entropy_tokens);
}

}  // namespace

LossResult grpo_loss(const LossInputs& in, const std::vector<LossSequence>& sequences, const LossOptions& options) {
  check_options(options);
  check_arrays(options, in);
  LossResult result;
  result.dlogp.assign(in.logp.size(), 0.0f);
  if (options.entropy_coef != 0.0) result.dentropy.assign(in.logp.size(), 0.0f);
  double bonus = 0.0;
  for (const LossSequence& s : sequences) {
    check(s.first >= 0 && s.count >= 0 && s.first + s.count <= static_cast<int64_t>(in.logp.size()), ErrorCode::kShape,
          "sequence [", s.first, ", ", s.first + s.count, ") of ", in.logp.size(), " tokens");
    if (s.masked || s.count == 0) continue;
    add_policy_and_kl(options, in, s, result);
    add_entropy(options, in, s, result, bonus);
  }
  result.loss = result.policy_loss;
  if (options.entropy_coef != 0.0) result.loss -= options.entropy_coef * bonus / options.total_entropy_tokens;
  return result;
}

}  // namespace vlmr1
