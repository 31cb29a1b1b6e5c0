// GRPO losses against TRL's own code: every case of losses.json, value, both gradients and metrics.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

#include "rl/grpo_loss.h"
#include "tests/golden.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr double kTolerance = 1e-6;

struct GoldenInputs {
  LossInputs arrays;
  std::vector<LossSequence> sequences;
  int64_t tokens = 0;                   // unmasked
  std::vector<std::vector<int>> place;  // [row][column] of the file → flat index, -1 where the mask is 0
};

// Rows of the file without what their mask leaves out. A row whose mask is empty is a completion left out of the loss.
GoldenInputs read_inputs(const Json& in) {
  GoldenInputs out;
  const auto& mask = in.at("mask").as_array();
  const auto advantages = float_list(in.at("advantages"));
  for (size_t row = 0; row < mask.size(); ++row) {
    const auto bits = int_list(mask[row]);
    const int64_t kept = std::count(bits.begin(), bits.end(), 1);
    const bool masked = kept == 0;
    const int64_t first = static_cast<int64_t>(out.arrays.logp.size());
    out.place.emplace_back(bits.size(), -1);
    for (size_t i = 0; i < bits.size(); ++i) {
      if (bits[i] == 0 && !masked) continue;
      if (bits[i] != 0) out.place[row][i] = static_cast<int>(out.arrays.logp.size());
      const auto append = [&](std::vector<float>& to, const char* name) {
        if (!in.at(name).is_null()) to.push_back(float_list(in.at(name).as_array()[row])[i]);
      };
      append(out.arrays.logp, "logps");
      append(out.arrays.old_logp, "old_logps");
      append(out.arrays.ref_logp, "ref_logps");
      append(out.arrays.entropy, "entropies");
    }
    out.sequences.push_back({first, static_cast<int64_t>(out.arrays.logp.size()) - first, advantages[row], masked});
    out.tokens += kept;
  }
  return out;
}

// A case's settings over the base of all.
class Settings {
 public:
  Settings(const Json& base, const Json& changes) : base_(base), changes_(changes) {}
  const Json& at(const char* name) const { return changes_.find(name) ? changes_.at(name) : base_.at(name); }
  double number(const char* name) const { return at(name).as_double(); }
  double number_or(const char* name, double fallback) const { return at(name).is_null() ? fallback : number(name); }
  std::string text(const char* name) const { return at(name).as_string(); }

 private:
  const Json& base_;
  const Json& changes_;
};

LossType type_of(const std::string& name) {
  static const std::map<std::string, LossType> types{{"grpo", LossType::kGrpo},      {"bnpo", LossType::kBnpo},
                                                     {"dr_grpo", LossType::kDrGrpo}, {"dapo", LossType::kDapo},
                                                     {"sapo", LossType::kSapo},      {"cispo", LossType::kCispo},
                                                     {"luspo", LossType::kLuspo},    {"vespo", LossType::kVespo}};
  return types.at(name);
}

// With TRL's denominators.
LossOptions read_options(const Settings& s, const GoldenInputs& in, double kept_tokens) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  LossOptions o;
  o.type = type_of(s.text("loss_type"));
  o.beta = s.number("beta");
  o.epsilon = s.number("epsilon");
  o.epsilon_high = s.number("epsilon_high");
  o.delta = s.number_or("delta", kInfinity);
  o.max_completion_length = s.at("max_completion_length").as_int();
  if (s.text("importance_sampling_level") == "sequence") o.importance_sampling = ImportanceSampling::kSequence;
  o.bias_correction_kl = s.at("use_bias_correction_kl").as_bool();
  o.sapo_temperature_pos = s.number("sapo_temperature_pos");
  o.sapo_temperature_neg = s.number("sapo_temperature_neg");
  o.vespo_k_pos = s.number("vespo_k_pos");
  o.vespo_lambda_pos = s.number("vespo_lambda_pos");
  o.vespo_k_neg = s.number("vespo_k_neg");
  o.vespo_lambda_neg = s.number("vespo_lambda_neg");
  o.off_policy_threshold = s.number_or("off_policy_mask_threshold", kInfinity);
  o.entropy_coef = s.number("entropy_coef");
  const double accumulation = s.number("gradient_accumulation_steps");
  const double tokens = static_cast<double>(in.tokens);
  o.total_sequences = static_cast<int64_t>(in.sequences.size()) * s.at("gradient_accumulation_steps").as_int();
  o.total_entropy_tokens = std::max(kept_tokens, 1.0) * accumulation;
  o.total_tokens = o.type == LossType::kBnpo
                       ? tokens * accumulation
                       : s.number_or("num_items_in_batch", tokens) * accumulation / s.number("steps_per_generation");
  return o;
}

struct Errors {
  int cases = 0;
  double loss = 0.0, gradient = 0.0, metrics = 0.0;
};

class GoldenCase {
 public:
  GoldenCase(const Json& golden, const Json& c)
      : case_(c),
        settings_(golden.at("base"), c.at("settings")),
        in_(read_inputs(golden.at("inputs").at(settings_.text("inputs")))) {
    double kept = static_cast<double>(in_.tokens);
    if (const Json* mask = c.find("token_mask")) {
      in_.arrays.token_mask.assign(in_.arrays.logp.size(), 0);
      kept = 0;
      each(*mask, [&](int at, double value) {
        if (at >= 0) in_.arrays.token_mask[at] = value != 0.0;
        kept += value;
      });
    }
    options_ = read_options(settings_, in_, kept);
  }

  std::string type() const { return settings_.text("loss_type"); }

  void check(Errors& errors) {
    const LossResult got = grpo_loss(in_.arrays, in_.sequences, options_);
    errors.cases++;
    expect(got.loss, case_.at("loss").as_double(), "loss", errors.loss);
    const auto compare = [&](const std::vector<float>& values, const char* name) {
      each(case_.at(name), [&](int at, double expected) {
        expect(at < 0 ? 0.0 : values[at], expected, std::string(name) + " " + show(at), errors.gradient);
      });
    };
    compare(got.dlogp, "gradient");
    if (options_.entropy_coef != 0) compare(got.dentropy, "entropy_gradient");
    for (const LossSequence& s : in_.sequences)
      for (int64_t i = s.first; s.masked && i < s.first + s.count; ++i) EXPECT_EQ(got.dlogp[i], 0.0f);
    EXPECT_EQ(got.tokens, in_.tokens);
    EXPECT_EQ(got.clip.off_policy, case_.int_or("off_policy", 0));
    size_t known = 0;
    for (const auto& [name, value] : metrics(got)) {
      if (!case_.at("metrics").find(name)) continue;
      ++known;
      expect(value, case_.at("metrics").at(name).as_double(), name, errors.metrics);
    }
    // TRL's log of the coefficient itself is nothing that is computed.
    EXPECT_EQ(known, case_.at("metrics").as_object().size() - (options_.entropy_coef != 0 ? 1 : 0));
  }

 private:
  template <typename Fn>
  void each(const Json& rows, const Fn& fn) {
    for (size_t row = 0; row < rows.as_array().size(); ++row) {
      const auto& columns = rows.as_array()[row].as_array();
      for (size_t i = 0; i < columns.size(); ++i) fn(in_.place[row][i], columns[i].as_double());
    }
  }

  void expect(double value, double expected, const std::string& what, double& worst) {
    const double error = std::fabs(value - expected);
    if (!(error <= kTolerance))
      VLMR1_REPORT(case_.at("name").as_string() + ", " + what + ": expected " + show(expected) + ", got " +
                   show(value));
    worst = std::max(worst, error);
  }

  // By TRL's names, of any loss.
  std::map<std::string, double> metrics(const LossResult& got) const {
    const double tokens = static_cast<double>(got.tokens), count = static_cast<double>(got.clip.count);
    const double low = static_cast<double>(got.clip.low), high = static_cast<double>(got.clip.high);
    // TRL divides by the steps of accumulation after it has logged, where it does not divide by tokens of the batch.
    const bool whole = type() == "dapo" || type() == "cispo" || type() == "vespo";
    return {{"clip_ratio/low_mean", low / count},
            {"clip_ratio/high_mean", high / count},
            {"clip_ratio/region_mean", (low + high) / count},
            {"clip_ratio/low_min", got.clip.low_min},
            {"clip_ratio/high_max", got.clip.high_max},
            {"cispo_clip_ratio", high / count},
            {"vespo/phi_seq_mean", got.clip.phi / static_cast<double>(got.clip.completions)},
            {"kl", got.kl_sum / tokens},
            {"entropy", got.entropy_sum / tokens},
            {"policy_loss", got.policy_loss * (whole ? 1.0 : settings_.number("gradient_accumulation_steps"))}};
  }

  const Json& case_;
  Settings settings_;
  GoldenInputs in_;
  LossOptions options_;
};

TEST(losses_equal_trl) {
  const Json golden = golden_json("losses.json");
  std::map<std::string, Errors> by_type;
  for (const Json& c : golden.at("cases").as_array()) {
    GoldenCase one(golden, c);
    one.check(by_type[one.type()]);
  }
  EXPECT_EQ(by_type.size(), size_t{8});
  std::printf("  largest difference from TRL   cases     loss  gradient   metrics\n");
  for (const auto& [type, worst] : by_type) {
    EXPECT_GE(worst.cases, 17);
    std::printf("  %-28s %6d %8.1e %9.1e %9.1e\n", type.c_str(), worst.cases, worst.loss, worst.gradient,
                worst.metrics);
  }
}

}  // namespace
}  // namespace vlmr1
