#include "binding/loss_arguments.h"

#include <limits>
#include <numeric>

#include "core/error.h"

namespace vlmr1::binding {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMaxDouble = std::numeric_limits<double>::max();
constexpr double kMaxFloat = std::numeric_limits<float>::max();
constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxCount = int64_t{1} << 53;

void check_count(const Reader& reader, const char* of, size_t expected, size_t got) {
  check(got == expected, ErrorCode::kShape, reader.path(), ": expected ", expected, " (", of, "), got ", got);
}

std::vector<float> elements(const Reader& reader, float) { return reader.float32_array(); }
std::vector<uint8_t> elements(const Reader& reader, uint8_t) { return reader.byte_array(); }

// [group][completion], one number each.
template <typename T>
std::vector<std::vector<T>> read_per_completion(const Reader& reader, const Lengths& lengths) {
  const std::vector<Reader> items = reader.items();
  check_count(reader, "one per group", lengths.size(), items.size());
  std::vector<std::vector<T>> values;
  for (size_t g = 0; g < items.size(); ++g) {
    values.push_back(elements(items[g], T()));
    check_count(items[g], "one per completion", lengths[g].size(), values[g].size());
  }
  return values;
}

// [group][completion]; empty: all are kept.
std::vector<std::vector<uint8_t>> read_mask(const Reader& reader, const Lengths& lengths) {
  if (reader.items().empty()) return {};
  return read_per_completion<uint8_t>(reader, lengths);
}

// [group][completion][token], as it comes.
template <typename T>
std::vector<std::vector<std::vector<T>>> read_tokens(const Reader& reader) {
  std::vector<std::vector<std::vector<T>>> values;
  for (const Reader& group : reader.items()) {
    values.emplace_back();
    for (const Reader& tokens : group.items()) values.back().push_back(elements(tokens, T()));
  }
  return values;
}

// The same of these lengths, or empty where no array holds anything.
template <typename T>
std::vector<std::vector<std::vector<T>>> read_tokens(const Reader& reader, const Lengths& lengths) {
  auto values = read_tokens<T>(reader);
  bool empty = true;
  for (const auto& group : values)
    for (const auto& tokens : group) empty = empty && tokens.empty();
  if (empty) return {};
  check_count(reader, "one per group", lengths.size(), values.size());
  for (size_t g = 0; g < values.size(); ++g) {
    const Reader group(reader.value(), reader.path() + "[" + std::to_string(g) + "]");
    check_count(group, "one per completion", lengths[g].size(), values[g].size());
    for (size_t c = 0; c < values[g].size(); ++c) {
      const Reader tokens(reader.value(), group.path() + "[" + std::to_string(c) + "]");
      check_count(tokens, "one per token", lengths[g][c], values[g][c].size());
    }
  }
  return values;
}

size_t count_tokens(const Lengths& lengths) {
  size_t tokens = 0;
  for (const auto& group : lengths) tokens = std::accumulate(group.begin(), group.end(), tokens);
  return tokens;
}

double positive_or_zero(const Reader& reader) { return reader.number(0.0, kMaxDouble); }

LossOptions read_settings(const Reader& reader, LossType type) {
  LossOptions loss;
  loss.type = type;
  loss.importance_sampling = reader.field("importanceSampling").choice({"token", "sequence"}) == 0
                                 ? ImportanceSampling::kToken
                                 : ImportanceSampling::kSequence;
  loss.epsilon = positive_or_zero(reader.field("epsilon"));
  loss.epsilon_high = positive_or_zero(reader.field("epsilonHigh"));
  loss.delta = reader.field("delta").number(0.0, kInfinity);
  loss.beta = positive_or_zero(reader.field("beta"));
  loss.bias_correction_kl = reader.field("biasCorrectionKl").boolean();
  loss.sapo_temperature_pos = positive_or_zero(reader.field("sapoTemperaturePos"));
  loss.sapo_temperature_neg = positive_or_zero(reader.field("sapoTemperatureNeg"));
  loss.vespo_k_pos = positive_or_zero(reader.field("vespoKPos"));
  loss.vespo_lambda_pos = positive_or_zero(reader.field("vespoLambdaPos"));
  loss.vespo_k_neg = positive_or_zero(reader.field("vespoKNeg"));
  loss.vespo_lambda_neg = positive_or_zero(reader.field("vespoLambdaNeg"));
  loss.off_policy_threshold = reader.field("offPolicyMaskThreshold").number(0.0, kInfinity);
  loss.entropy_coef = positive_or_zero(reader.field("entropyCoef"));
  loss.total_sequences = reader.field("totalSequences").integer(0, kMaxCount - 1);
  loss.total_tokens = positive_or_zero(reader.field("totalTokens"));
  loss.total_entropy_tokens = positive_or_zero(reader.field("totalEntropyTokens"));
  loss.max_completion_length = reader.field("maxCompletionLength").integer(0, kMaxInt);
  return loss;
}

LossType read_type(const Reader& reader) {
  constexpr LossType types[] = {LossType::kGrpo, LossType::kBnpo,  LossType::kDrGrpo, LossType::kDapo, LossType::kCispo,
                                LossType::kSapo, LossType::kLuspo, LossType::kVespo,  LossType::kSft};
  return types[reader.choice({"grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo", "sft"})];
}

Objective read_grpo(const Reader& reader, LossType type, const Lengths& lengths) {
  Objective objective;
  objective.loss = read_settings(reader, type);
  objective.loss.temperature = static_cast<float>(reader.field("temperature").number(0.0, kMaxFloat));
  objective.advantages = read_per_completion<float>(reader.field("advantages"), lengths);
  objective.old_log_probs = read_tokens<float>(reader.field("oldLogProbs"), lengths);
  const Reader reference = reader.field("refLogProbs");
  objective.ref_log_probs = read_tokens<float>(reference, lengths);
  check(objective.loss.beta == 0.0 || !objective.ref_log_probs.empty() || count_tokens(lengths) == 0,
        ErrorCode::kArgument, reference.path(), ": expected log-probabilities of the reference, because beta > 0");
  objective.keep = read_mask(reader.field("mask"), lengths);
  objective.token_mask = read_tokens<uint8_t>(reader.field("tokenMask"), lengths);
  return objective;
}

}  // namespace

Objective read_objective(const Reader& loss, const Lengths& lengths) {
  const LossType type = read_type(loss.field("kind"));
  if (type != LossType::kSft) return read_grpo(loss, type, lengths);
  Objective objective;
  objective.loss.type = type;
  objective.loss.total_tokens = static_cast<double>(loss.field("totalTokens").integer(1, kMaxCount - 1));
  return objective;
}

ComputeLossArguments read_compute_loss(const Reader& args) {
  ComputeLossArguments result;
  result.scores.log_probs = read_tokens<float>(args.field("logProbs"));
  Lengths lengths;
  for (const auto& group : result.scores.log_probs) {
    lengths.emplace_back();
    for (const auto& tokens : group) lengths.back().push_back(tokens.size());
  }
  result.scores.entropy = read_tokens<float>(args.field("entropies"), lengths);
  result.objective = read_objective(args.field("loss"), lengths);
  return result;
}

}  // namespace vlmr1::binding
