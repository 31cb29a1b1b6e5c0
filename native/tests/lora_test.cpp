// Adapters: what they add, their gradients, their files.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "io/checkpoint.h"
#include "io/files.h"
#include "optim/adamw.h"
#include "rl/generate.h"
#include "rl/objective.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;
using Use = AdapterMode::Use;

const std::set<Part> kAllParts{Part::kVision, Part::kMerger, Part::kLanguage};

// Every linear layer, or those of some parts; ranks differ so that they cannot be mistaken for each other.
LoadOptions adapted(const std::string& folder, TrainMode mode, float dropout = 0.0f,
                    const std::set<Part>& parts = kAllParts) {
  LoadOptions options;
  options.plan.mode = mode;
  options.plan.lora.dropout = dropout;
  options.plan.lora.seed = 5;
  for (const ParameterSpec& spec : describe_model(golden_json(folder + "/config.json")).parameters) {
    if (!spec.linear || parts.count(spec.part) == 0) continue;
    const std::string module = spec.name.substr(0, spec.name.size() - 7);
    const int64_t rank = 2 + static_cast<int64_t>(options.plan.lora.modules.size() % 3);
    options.plan.lora.modules.push_back({module, rank, 1.5f});
  }
  return options;
}

// Fills every B, which starts at zero.
void randomise(ModelFixture& f) {
  uint64_t seed = 100;
  for (const auto& [module, adapter] : f.model->parameters().adapters()) {
    Parameter& b = *adapter.b;
    f.backend->upload(b.trainable ? b.master : b.value, random_array(seed++, b.shape, 0.05).values.data());
  }
  f.model->parameters().refresh(*f.backend);
}

Objective sft(const GoldenCase& c, uint64_t dropout_seed = 0) {
  Objective objective;
  objective.loss.type = LossType::kSft;
  objective.loss.total_tokens = static_cast<int64_t>(c.completion.size());
  objective.dropout_seed = dropout_seed;
  return objective;
}

std::vector<float> log_probs(ModelFixture& f, const GoldenCase& c, Use adapter = Use::kOn) {
  return score(*f.model, {c.group()}, 1.0f, adapter, StopFlag()).log_probs[0][0];
}

// A golden model with adapters, and the same with them added into the weights.
struct MergedPair {
  explicit MergedPair(const std::string& golden, const std::set<Part>& parts = kAllParts)
      : lora(golden, 2, adapted(golden, TrainMode::kLora, 0.0f, parts)), merged(write(golden)) {}

  TemporaryFolder folder;
  ModelFixture lora;
  ModelFixture merged;

 private:
  std::string write(const std::string& golden) {
    randomise(lora);
    save_parameters(*lora.backend, lora.model->parameters(), folder.path(), SaveDType::kF32, int64_t{1} << 40, true);
    write_text_file(folder.file("config.json"), read_text_file(golden_path(golden + "/config.json")));
    return folder.path();
  }
};

TEST(lora_fresh_adapters_change_nothing) {
  for (const auto& golden : golden_models()) {
    const GoldenCase c = GoldenCases(golden).get("two_images");
    ModelFixture plain(golden);
    ModelFixture lora(golden, 2, adapted(golden, TrainMode::kLora));
    EXPECT_TRUE(same_bits(log_probs(lora, c), log_probs(plain, c)));
    for (const auto& [module, adapter] : lora.model->parameters().adapters()) {
      const auto a = to_vector(*lora.backend, adapter.a->value);
      const double bound = 1.0 / std::sqrt(static_cast<double>(adapter.a->shape[1]));
      const auto [low, high] = std::minmax_element(a.begin(), a.end());
      EXPECT_LE(*high, bound);
      EXPECT_LE(-bound, *low);
      EXPECT_GT(*high - *low, bound);  // not all the same
    }
  }
}

TEST(lora_switched_off_is_the_base_model) {
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  ModelFixture plain("qwen2_5_vl_a");
  ModelFixture lora("qwen2_5_vl_a", 2, adapted("qwen2_5_vl_a", TrainMode::kLora));
  randomise(lora);
  EXPECT_TRUE(same_bits(log_probs(lora, c, Use::kOff), log_probs(plain, c)));
  EXPECT_TRUE(!same_bits(log_probs(lora, c), log_probs(plain, c)));
}

// Features of pictures are kept where neither training nor an adapter can change them, and only there.
TEST(lora_on_some_parts_is_not_kept_with_the_pictures) {
  for (const auto& golden : golden_models()) {
    const GoldenCase c = GoldenCases(golden).get("two_images");
    ModelFixture plain(golden, 2, LoadOptions());
    const auto off = log_probs(plain, c);
    for (const Part part : {Part::kVision, Part::kMerger, Part::kLanguage}) {
      MergedPair pair(golden, {part});
      ModelFixture& lora = pair.lora;
      const auto on = log_probs(lora, c);
      EXPECT_LE(max_relative_error(on, log_probs(pair.merged, c)), 2e-5);
      EXPECT_TRUE(!same_bits(on, off));
      EXPECT_TRUE(same_bits(log_probs(lora, c, Use::kOff), off));
      EXPECT_TRUE(same_bits(log_probs(lora, c), on));
    }
  }
}

// What a run that goes on from an adapter is compared with.
TEST(lora_start_stays_as_it_was_loaded) {
  for (const auto& golden : golden_models()) {
    const TemporaryFolder folder;
    const GoldenCase c = GoldenCases(golden).get("two_images");
    ModelFixture saved(golden, 2, adapted(golden, TrainMode::kLora));
    randomise(saved);
    save_adapter(*saved.backend, saved.model->parameters(), folder.file("a"), SaveDType::kF32);
    LoadOptions options = adapted(golden, TrainMode::kLora);
    options.plan.lora.weights = folder.file("a");
    options.plan.lora.keep_start = true;
    ModelFixture f(golden, 2, options);
    const auto before = log_probs(f, c);
    accumulate(*f.model, {c.group()}, sft(c), StopFlag());
    AdamWOptions step;
    step.learning_rate = 1e-2f;
    adamw_step(*f.backend, f.model->parameters(), step);
    EXPECT_TRUE(same_bits(log_probs(f, c, Use::kStart), before));
    EXPECT_TRUE(!same_bits(log_probs(f, c), before));
    EXPECT_ERROR_WITH(ErrorCode::kState, "without keeping its start", log_probs(saved, c, Use::kStart));
  }
}

TEST(lora_equals_the_merged_model) {
  double worst = 0;
  for (const auto& golden : golden_models()) {
    const GoldenCase c = GoldenCases(golden).get("two_images");
    MergedPair pair(golden);
    worst = std::max(worst, max_relative_error(log_probs(pair.lora, c), log_probs(pair.merged, c)));
  }
  EXPECT_LE(worst, 2e-5);
  std::printf("  adapter against merged weights: largest relative error %.2e\n", worst);
}

// With W' = W + s·B·A: dB = s · dW' · Aᵀ and dA = s · Bᵀ · dW'.
TEST(lora_gradients_follow_from_those_of_the_merged_model) {
  double worst = 0;
  for (const auto& golden : golden_models()) {
    const GoldenCase c = GoldenCases(golden).get("two_images");
    MergedPair pair(golden);
    ModelFixture& lora = pair.lora;
    ModelFixture& merged = pair.merged;
    accumulate(*lora.model, {c.group()}, sft(c), StopFlag());
    accumulate(*merged.model, {c.group()}, sft(c), StopFlag());
    for (const auto& [module, adapter] : lora.model->parameters().adapters()) {
      const auto dw = to_vector(*merged.backend, merged.model->parameters().get(module + ".weight").grad);
      const auto a = to_vector(*lora.backend, adapter.a->value);
      const auto b = to_vector(*lora.backend, adapter.b->value);
      const int64_t rank = adapter.a->shape[0], in = adapter.a->shape[1], out = adapter.b->shape[0];
      Doubles da(static_cast<size_t>(rank * in)), db(static_cast<size_t>(out * rank));
      for (int64_t o = 0; o < out; ++o)
        for (int64_t r = 0; r < rank; ++r)
          for (int64_t i = 0; i < in; ++i) {
            db[o * rank + r] += 1.5 * dw[o * in + i] * a[r * in + i];
            da[r * in + i] += 1.5 * b[o * rank + r] * dw[o * in + i];
          }
      worst = std::max({worst, relative_error(to_vector(*lora.backend, adapter.a->grad), da),
                        relative_error(to_vector(*lora.backend, adapter.b->grad), db)});
    }
  }
  EXPECT_LE(worst, 1e-4);
  std::printf("  adapter gradients: largest relative error %.2e\n", worst);
}

std::vector<float> adapter_gradients(ModelFixture& f) {
  std::vector<float> all;
  for (const Parameter& p : f.model->parameters().all()) {
    if (!p.trainable) continue;
    const auto g = to_vector(*f.backend, p.grad);
    all.insert(all.end(), g.begin(), g.end());
  }
  return all;
}

TEST(lora_bits_do_not_depend_on_threads_or_recompute) {
  const GoldenCase c = GoldenCases("qwen2_5_vl_b").get("two_images");
  std::vector<float> expected;
  for (const int threads : {1, 2, 3}) {
    for (const bool checkpointing : {false, true}) {
      LoadOptions options = adapted("qwen2_5_vl_b", TrainMode::kLora, 0.3f);
      options.gradient_checkpointing = checkpointing;
      ModelFixture f("qwen2_5_vl_b", threads, options);
      randomise(f);
      accumulate(*f.model, {c.group()}, sft(c, 9), StopFlag());
      const auto got = adapter_gradients(f);
      if (expected.empty()) expected = got;
      EXPECT_TRUE(same_bits(got, expected));
    }
  }
}

TEST(lora_dropout_is_named_by_its_seed_and_only_there_in_training) {
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  ModelFixture f("qwen2_5_vl_a", 2, adapted("qwen2_5_vl_a", TrainMode::kLora, 0.5f));
  ModelFixture none("qwen2_5_vl_a", 2, adapted("qwen2_5_vl_a", TrainMode::kLora, 0.0f));
  randomise(f);
  randomise(none);
  EXPECT_TRUE(same_bits(log_probs(f, c), log_probs(none, c)));
  const auto train = [&](uint64_t seed) {
    f.model->parameters().zero_grad(*f.backend);
    return accumulate(*f.model, {c.group()}, sft(c, seed), StopFlag()).log_probs[0][0];
  };
  const auto first = train(1);
  EXPECT_TRUE(!same_bits(first, log_probs(none, c)));
  EXPECT_TRUE(!same_bits(first, train(2)));
  EXPECT_TRUE(same_bits(first, train(1)));
}

TEST(lora_rollout_and_training_log_probabilities_are_the_same_bits) {
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  ModelFixture f("qwen2_5_vl_a", 2, adapted("qwen2_5_vl_a", TrainMode::kLora));
  randomise(f);
  GenerateOptions options;
  options.n = 3;
  options.sampling.max_new_tokens = 40;
  const auto rollout = generate(*f.model, {c.prompt}, options, StopFlag(), nullptr);
  Group group{c.prompt, {}};
  for (const Completion& completion : rollout[0]) group.completions.push_back(completion.tokens);
  Objective objective = sft(c);
  const auto trained = accumulate(*f.model, {group}, objective, StopFlag()).log_probs[0];
  for (size_t i = 0; i < trained.size(); ++i) EXPECT_TRUE(same_bits(trained[i], rollout[0][i].log_probs));
}

TEST(lora_only_the_adapter_has_gradients_and_memory) {
  ModelFixture f("qwen2_5_vl_a", 2, adapted("qwen2_5_vl_a", TrainMode::kLora, 0.0f, {Part::kLanguage}));
  int64_t trained = 0;
  for (const Parameter& p : f.model->parameters().all()) {
    EXPECT_EQ(p.trainable, p.name.find(".lora_") != std::string::npos);
    EXPECT_EQ(static_cast<bool>(p.grad), p.trainable);
    EXPECT_EQ(static_cast<bool>(p.master), p.trainable);
    if (p.trainable) trained += p.shape.numel();
  }
  EXPECT_EQ(f.model->info().trainable_parameters, trained);
  EXPECT_TRUE(f.model->parameters().trains(Part::kLanguage));
  EXPECT_TRUE(!f.model->parameters().trains(Part::kVision));
}

TEST(lora_adapter_files_round_trip) {
  const TemporaryFolder folder;
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  ModelFixture saved("qwen2_5_vl_a", 2, adapted("qwen2_5_vl_a", TrainMode::kLora));
  randomise(saved);
  const std::string file = folder.file("adapter_model.safetensors");
  save_adapter(*saved.backend, saved.model->parameters(), file, SaveDType::kF32);
  const SafetensorsFile stored(file);
  EXPECT_EQ(stored.tensors().size(), 2 * saved.model->parameters().adapters().size());
  EXPECT_EQ(stored.tensors().count("base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"),
            1u);
  EXPECT_EQ(stored.tensors().count("base_model.model.model.visual.blocks.0.attn.qkv.lora_B.weight"), 1u);
  for (const TrainMode mode : {TrainMode::kLora, TrainMode::kNone}) {
    LoadOptions options = adapted("qwen2_5_vl_a", mode);
    options.plan.lora.weights = file;
    ModelFixture loaded("qwen2_5_vl_a", 2, options);
    EXPECT_TRUE(same_bits(log_probs(loaded, c), log_probs(saved, c)));
  }
  LoadOptions fewer = adapted("qwen2_5_vl_a", TrainMode::kNone, 0.0f, {Part::kLanguage});
  fewer.plan.lora.weights = file;
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "no adapted layer has a place for", ModelFixture("qwen2_5_vl_a", 1, fewer));
}

TEST(lora_plans_that_fit_nothing_are_refused) {
  LoadOptions options = adapted("qwen2_5_vl_a", TrainMode::kLora);
  options.plan.lora.modules[0].name = "model.layers.0.self_attn.x_proj";
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "x_proj is no linear layer", ModelFixture("qwen2_5_vl_a", 1, options));
  options = adapted("qwen2_5_vl_a", TrainMode::kLora);
  options.plan.lora.modules[1].rank = 0;
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "rank above 0", ModelFixture("qwen2_5_vl_a", 1, options));
  options.plan.lora.modules.clear();
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "at least one linear layer", ModelFixture("qwen2_5_vl_a", 1, options));
  options = adapted("qwen2_5_vl_a", TrainMode::kFull);
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "merge it first", ModelFixture("qwen2_5_vl_a", 1, options));
  options = full_training();
  options.plan.frozen = {"model.nothing"};
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "no parameter is named model.nothing",
                    ModelFixture("qwen2_5_vl_a", 1, options));
}

}  // namespace
}  // namespace vlmr1
