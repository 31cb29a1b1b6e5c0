// Models whose weights follow another's: what blending writes, in every form, and that all that was made of the old
// weights is made anew.
#include <cmath>
#include <limits>
#include <map>

#include "core/dtype.h"
#include "core/float16.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "optim/adamw.h"
#include "optim/blend.h"
#include "rl/objective.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

const char* const kGolden = "qwen2_5_vl_a";

LoadOptions copy_options(Precision precision) {
  LoadOptions options;
  options.plan.precision = precision;
  options.plan.writable = true;
  return options;
}

LoadOptions policy_options(Precision precision, bool stochastic) {
  LoadOptions options = full_training();
  options.plan.precision = precision;
  options.plan.stochastic_rounding = stochastic;
  return options;
}

// Policy and copy on one back end.
struct Pair {
  Pair(const LoadOptions& policy_plan, const LoadOptions& copy_plan, const std::string& isa = "", int threads = 2)
      : backend(make_cpu_backend({threads, isa})),
        policy(Model::load(*backend, golden_path(kGolden), policy_plan)),
        copy(Model::load(*backend, golden_path(kGolden), copy_plan)),
        c(GoldenCases(kGolden).get("two_images")) {}

  void train(float rate) {
    Objective objective;
    objective.loss.type = LossType::kSft;
    objective.loss.total_tokens = static_cast<int64_t>(c.completion.size());
    accumulate(*policy, {c.group()}, objective, StopFlag());
    AdamWOptions options;
    options.learning_rate = rate;
    adamw_step(*backend, policy->parameters(), options);
  }
  std::vector<float> log_probs(Model& model) {
    return score(model, {c.group()}, 1.0f, AdapterMode::Use::kOn, StopFlag()).log_probs[0][0];
  }
  std::vector<float> values(const Tensor& x) {
    if (x.dtype() == DType::kF32) return to_vector(*backend, x);
    Tensor wide = backend->empty(x.shape());
    backend->convert(x, wide);
    return to_vector(*backend, wide);
  }
  void blend(double alpha) { blend_parameters(*backend, policy->parameters(), alpha, copy->parameters()); }

  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> policy, copy;
  GoldenCase c;
};

TEST(writable_models_compute_what_mapped_ones_do) {
  for (const Precision precision : {Precision::kAuto, Precision::kF32, Precision::kBF16}) {
    LoadOptions mapped;
    mapped.plan.precision = precision;
    Pair pair(mapped, copy_options(precision));
    for (const Parameter& p : pair.copy->parameters().all()) {
      const bool halves = precision == Precision::kBF16 && p.is_matrix();
      EXPECT_TRUE(p.value.dtype() == (halves ? DType::kBF16 : DType::kF32));
      EXPECT_TRUE(!p.trainable && !p.value.storage()->discard);
    }
    EXPECT_TRUE(same_bits(pair.log_probs(*pair.copy), pair.log_probs(*pair.policy)));
    EXPECT_EQ(pair.copy->info().trainable_parameters, 0);
  }
}

// Halves of a file into halves are taken as they are; a number that is none is found there too.
TEST(writable_models_load_halves) {
  const TemporaryFolder folder;
  const auto backend = make_cpu_backend({2, ""});
  const std::vector<ParameterSpec> specs{{"a.weight", {3, 5}}, {"a.bias", {5}}};
  const auto load = [&](ParameterStore& store) {
    load_parameters(*backend, store, folder.path(), {[](const std::string&) { return false; }, {}});
  };
  std::vector<float> weight = random_array(1, {3, 5}).values, bias(5, 0.5f);
  for (float& x : weight) x = bf16_to_f32(f32_to_bf16(x));
  for (const float bad : {0.0f, std::nanf(""), -std::numeric_limits<float>::infinity()}) {
    if (bad != 0.0f) weight[14] = bad;
    write_safetensors(folder.file("model.safetensors"),
                      {{"a.weight", "BF16", {3, 5}, weight.data()}, {"a.bias", "BF16", {5}, bias.data()}}, {});
    ParameterStore store(*backend, specs, copy_options(Precision::kBF16).plan);
    if (bad != 0.0f) {
      EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "a.weight", load(store));
      continue;
    }
    load(store);
    Tensor wide = backend->empty({3, 5});
    backend->convert(store.get("a.weight").value, wide);
    EXPECT_TRUE(same_bits(to_vector(*backend, wide), weight));
    EXPECT_TRUE(same_bits(to_vector(*backend, store.get("a.bias").value), bias));
  }
}

// The pictures' features and packed weights of before must not be used again.
TEST(writable_copy_with_alpha_one_is_the_policy) {
  for (const bool stochastic : {false, true}) {
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      if (stochastic && precision == Precision::kF32) continue;
      Pair pair(policy_options(precision, stochastic), copy_options(precision));
      const auto before = pair.log_probs(*pair.copy);
      EXPECT_TRUE(same_bits(before, pair.log_probs(*pair.policy)));
      pair.train(1e-2f);
      const auto trained = pair.log_probs(*pair.policy);
      EXPECT_TRUE(!same_bits(trained, before));
      EXPECT_TRUE(same_bits(pair.log_probs(*pair.copy), before));
      pair.blend(0.0);
      EXPECT_TRUE(same_bits(pair.log_probs(*pair.copy), before));
      pair.blend(1.0);
      EXPECT_TRUE(same_bits(pair.log_probs(*pair.copy), trained));
    }
  }
}

TEST(writable_blend_is_that_of_every_weight) {
  for (const Device& device : devices()) {
    const std::string isa = device.name.substr(4);
    for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
      Pair pair(policy_options(Precision::kBF16, false), copy_options(precision), isa, 3);
      pair.train(1e-2f);
      std::map<std::string, std::vector<float>> own;
      for (const Parameter& p : pair.copy->parameters().all()) own[p.name] = pair.values(p.value);
      pair.blend(0.3);
      const float alpha = 0.3f, keep = static_cast<float>(1.0 - double{alpha});
      for (const Parameter& p : pair.copy->parameters().all()) {
        // From the masters, not from their rounded copies.
        const auto source = pair.values(pair.policy->parameters().get(p.name).master);
        const auto got = pair.values(p.value);
        for (size_t i = 0; i < got.size(); ++i) {
          const float kept = keep * own[p.name][i];
          const float sum = isa == "baseline" ? alpha * source[i] + kept : std::fmaf(alpha, source[i], kept);
          EXPECT_EQ(got[i], p.value.dtype() == DType::kBF16 ? bf16_to_f32(f32_to_bf16(sum)) : sum);
        }
      }
    }
  }
}

// All types of a source into both of a copy, over more than one task, between guards.
TEST(writable_blend_takes_every_type) {
  const int64_t n = 70'003;
  const std::vector<float> a = random_array(1, {n}).values, b = random_array(2, {n}).values;
  for (const Device& device : devices()) {
    const auto backend = device.open(3);
    const auto typed = [&](const std::vector<float>& values, DType type) {
      if (type == DType::kF32) return to_device(*backend, {{n}, values});
      std::vector<uint16_t> bits(values.size());
      for (size_t i = 0; i < bits.size(); ++i)
        bits[i] = type == DType::kF16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
      Tensor x = backend->empty({n}, type);
      backend->upload(x, bits.data());
      return x;
    };
    const auto wide = [&](const Tensor& x) {
      Tensor y = backend->empty({n});
      backend->convert(x, y);
      return to_vector(*backend, y);
    };
    for (const DType from : {DType::kF32, DType::kBF16, DType::kF16}) {
      for (const DType to : {DType::kF32, DType::kBF16}) {
        for (const float alpha : {0.25f, 1.0f}) {
          const Tensor source = typed(a, from);
          Tensor target = typed(b, to);
          const auto x = wide(source), y = wide(target);
          backend->blend(source, alpha, target);
          const auto got = wide(target);
          for (size_t i = 0; i < got.size(); ++i) {
            const float sum = alpha == 1.0f ? x[i] : alpha * x[i] + 0.75f * y[i];
            EXPECT_NEAR(got[i], sum, std::fabs(sum) * (to == DType::kBF16 ? 0x1p-8 : 0.0) + 1e-6);
            if (alpha == 1.0f && to == DType::kF32) EXPECT_EQ(got[i], x[i]);
          }
        }
      }
    }
  }
}

TEST(writable_states_are_exact) {
  const TemporaryFolder folder;
  for (const Precision precision : {Precision::kF32, Precision::kBF16}) {
    Pair pair(policy_options(Precision::kF32, false), copy_options(precision));
    pair.train(1e-2f);
    pair.blend(0.4);
    const auto expected = pair.log_probs(*pair.copy);
    save_state(*pair.backend, pair.copy->parameters(), folder.file("state"));
    const auto again = Model::load(*pair.backend, golden_path(kGolden), copy_options(precision));
    EXPECT_TRUE(!same_bits(pair.log_probs(*again), expected));
    load_state(*pair.backend, again->parameters(), folder.file("state"));
    EXPECT_TRUE(same_bits(pair.log_probs(*again), expected));
    for (const Parameter& p : again->parameters().all())
      EXPECT_TRUE(same_bits(pair.values(p.value), pair.values(pair.copy->parameters().get(p.name).value)));
  }
}

TEST(writable_blend_refuses_what_does_not_fit) {
  Pair pair(policy_options(Precision::kF32, false), copy_options(Precision::kF32));
  for (const double alpha : {-0.1, 1.1, std::nan("")})
    EXPECT_ERROR_WITH(ErrorCode::kArgument, "alpha: expected a value in [0, 1]", pair.blend(alpha));
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "expected a writable model",
                    blend_parameters(*pair.backend, pair.copy->parameters(), 0.5, pair.policy->parameters()));
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "expected another model",
                    blend_parameters(*pair.backend, pair.copy->parameters(), 0.5, pair.copy->parameters()));
  const auto other = Model::load(*pair.backend, golden_path("qwen2_vl_a"), LoadOptions());
  EXPECT_ERROR_WITH(ErrorCode::kShape, "blend: source: expected",
                    blend_parameters(*pair.backend, other->parameters(), 0.5, pair.copy->parameters()));
  LoadOptions lora;
  lora.plan.mode = TrainMode::kLora;
  lora.plan.lora.modules = {{"model.layers.0.self_attn.q_proj", 2, 1.0f}};
  const auto adapted = Model::load(*pair.backend, golden_path(kGolden), lora);
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "without an adapter",
                    blend_parameters(*pair.backend, adapted->parameters(), 0.5, pair.copy->parameters()));
}

}  // namespace
}  // namespace vlmr1
