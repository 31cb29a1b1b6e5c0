// The dry run: it counts what a real run allocates, byte by byte, and uses nothing.
#include "rl/estimate.h"

#include <cstdio>
#include <fstream>
#include <string>

#include "core/memory_pool.h"
#include "core/thread_pool.h"
#include "io/files.h"
#include "tests/model_fixture.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

size_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmRSS:", 0) == 0) return std::stoul(line.substr(6)) << 10;
  return 0;
}

size_t sum(const std::vector<PhaseMemory>& phases, MemoryKind kind) {
  size_t bytes = 0;
  for (const PhaseMemory& phase : phases) bytes += phase.use.of(kind);
  return bytes;
}

const PhaseMemory& named(const std::vector<PhaseMemory>& phases, const std::string& name) {
  for (const PhaseMemory& phase : phases)
    if (phase.name == name) return phase;
  fail(ErrorCode::kState, "no phase is named ", name);
}

LoadOptions lora_training(const std::string& folder) {
  LoadOptions options;
  options.plan.mode = TrainMode::kLora;
  for (const ParameterSpec& spec : describe_model(golden_json(folder + "/config.json")).parameters)
    if (spec.linear && spec.part == Part::kLanguage && spec.name != "lm_head.weight")
      options.plan.lora.modules.push_back({spec.name.substr(0, spec.name.size() - 7), 4, 2.0f});
  return options;
}

struct Variant {
  const char* name;
  LoadOptions load;
  ReferencePolicy reference;
};

std::vector<Variant> variants(const std::string& folder) {
  std::vector<Variant> list;
  for (const bool checkpointing : {false, true}) {
    list.push_back({"full", full_training(checkpointing), ReferencePolicy::kNone});
    list.push_back({"full with reference", full_training(checkpointing), ReferencePolicy::kCopy});
    list.push_back({"lora", lora_training(folder), ReferencePolicy::kSame});
    list.back().load.plan.lora.dropout = 0.25f;
    list.push_back({"lora from a start", lora_training(folder), ReferencePolicy::kSame});
    list.back().load.plan.lora.keep_start = true;
    list.push_back({"frozen", with_frozen(folder, {Part::kVision, Part::kMerger}), ReferencePolicy::kNone});
    list.push_back({"bf16", full_training(checkpointing), ReferencePolicy::kNone});
    list.back().load.plan.precision = Precision::kBF16;
    for (Variant& variant : list) variant.load.gradient_checkpointing = checkpointing;
  }
  return list;
}

// The same on a back end that computes.
std::vector<PhaseMemory> real_run(const std::string& folder, const EstimateOptions& options,
                                  const std::vector<Prompt>& prompts, MemoryCounts* loaded) {
  const auto backend = make_cpu_backend({options.threads, options.isa});
  const auto model = Model::load(*backend, golden_path(folder), options.load);
  std::unique_ptr<Model> copy;
  LoadOptions frozen;
  frozen.plan.precision = options.load.plan.precision;
  if (options.reference == ReferencePolicy::kCopy) copy = Model::load(*backend, golden_path(folder), frozen);
  *loaded = backend->memory();
  Model* reference = options.reference == ReferencePolicy::kSame ? model.get() : copy.get();
  return measure_steps(*model, reference, prompts, options.workload, StopFlag());
}

EstimateOptions estimate_of(const std::string& folder, const std::vector<Prompt>& prompts) {
  EstimateOptions options;
  options.config = read_text_file(golden_path(folder) + "/config.json");
  options.threads = 2;
  for (const Prompt& prompt : prompts) {
    PromptShape shape;
    shape.tokens = static_cast<int64_t>(prompt.tokens.size());
    for (const auto& picture : prompt.pictures) shape.grids.push_back(picture->grid);
    options.prompts.push_back(shape);
  }
  options.workload.completions = 2;
  options.workload.max_new_tokens = 70;  // over a block of the key/value cache
  options.workload.micro_batches = {{0, 1}, {2}};
  options.workload.evaluated = 3;
  options.workload.earlier_steps = 2;
  return options;
}

void expect_equal_phases(const MemoryEstimate& dry, const std::vector<PhaseMemory>& real, const std::string& which) {
  REQUIRE(dry.phases.size() == real.size() + 1);
  for (size_t i = 0; i < real.size(); ++i) {
    const PhaseMemory& phase = dry.phases[i + 1];
    EXPECT_EQ(phase.name, real[i].name);
    for (size_t kind = 0; kind < kMemoryKinds; ++kind)
      if (phase.use.by_kind[kind] != real[i].use.by_kind[kind])
        VLMR1_REPORT(which + ", " + phase.name + ", kind " + show(kind) + ": dry " + show(phase.use.by_kind[kind]) +
                     ", real " + show(real[i].use.by_kind[kind]));
    // Which kept block serves a request may differ after tokens that the dry run skipped.
    EXPECT_NEAR(phase.held, real[i].held, 1e-3 * static_cast<double>(real[i].held));
  }
}

// Every other variant with each model, so that each meets both families.
TEST(estimate_dry_run_counts_what_a_real_run_allocates) {
  for (size_t f = 0; f < golden_models().size(); ++f) {
    const std::string& folder = golden_models()[f];
    const GoldenCases cases(folder);
    const std::vector<Prompt> prompts = {cases.get("two_images").prompt, cases.get("one_image").prompt,
                                         cases.get("text").prompt};
    const std::vector<Variant> all = variants(folder);
    for (size_t v = f % 2; v < all.size(); v += 2) {
      EstimateOptions options = estimate_of(folder, prompts);
      options.load = all[v].load;
      options.reference = all[v].reference;
      MemoryCounts loaded;
      const std::vector<PhaseMemory> real = real_run(folder, options, prompts, &loaded);
      const MemoryEstimate dry = estimate_memory(options, StopFlag());
      EXPECT_EQ(dry.phases[0].use.total(), loaded.peak);
      expect_equal_phases(dry, real, folder + ", " + all[v].name);
    }
  }
}

TEST(estimate_says_what_memory_is_for) {
  const std::string folder = "qwen2_5_vl_a";
  const GoldenCases cases(folder);
  EstimateOptions options = estimate_of(folder, {cases.get("text").prompt});
  options.workload.completions = 16;  // more for the cache than for the prompt
  options.workload.micro_batches = {{0}};
  options.load = full_training();
  const MemoryEstimate full = estimate_memory(options, StopFlag());
  const size_t parameters = static_cast<size_t>(full.model.parameters);
  EXPECT_EQ(full.model.trainable_parameters, full.model.parameters);
  for (const PhaseMemory& phase : full.phases) {
    const bool trained = phase.name == "train" || phase.name == "optimize";
    EXPECT_GT(phase.use.of(MemoryKind::kWeights), parameters * 4);
    EXPECT_GT(phase.use.of(MemoryKind::kGradients) + 1, parameters * 4);
    EXPECT_LE(phase.use.of(MemoryKind::kGradients), parameters * 4 + full.model.parameters);
    EXPECT_EQ(phase.use.of(MemoryKind::kOptimizer) > 0, trained || phase.name == "generate");
    EXPECT_EQ(phase.use.of(MemoryKind::kKvCache) > 0, phase.name == "generate" || phase.name == "evaluate");
    EXPECT_LE(phase.use.total(), phase.held);
  }
  // Two moments each.
  EXPECT_EQ(named(full.phases, "train").use.of(MemoryKind::kOptimizer),
            2 * named(full.phases, "train").use.of(MemoryKind::kGradients));

  options.load = lora_training(folder);
  const MemoryEstimate lora = estimate_memory(options, StopFlag());
  EXPECT_LT(sum(lora.phases, MemoryKind::kGradients), sum(full.phases, MemoryKind::kGradients) / 4);
  options.load.gradient_checkpointing = true;
  const MemoryEstimate again = estimate_memory(options, StopFlag());
  EXPECT_LT(named(again.phases, "train").use.of(MemoryKind::kActivations),
            named(lora.phases, "train").use.of(MemoryKind::kActivations));
}

// A frozen vision tower's features are kept from step to step, as long as there is room and there are new pictures.
TEST(estimate_counts_what_is_kept_of_earlier_pictures) {
  const std::string folder = "qwen2_5_vl_a";
  const GoldenCases cases(folder);
  EstimateOptions options = estimate_of(folder, {cases.get("one_image").prompt});
  options.workload.micro_batches = {{0}};
  const auto kept_after = [&](int32_t steps) {
    options.workload.earlier_steps = steps;
    return named(estimate_memory(options, StopFlag()).phases, "optimize").use.of(MemoryKind::kActivations);
  };
  options.load = lora_training(folder);
  const size_t each = kept_after(6) - kept_after(5);
  EXPECT_GT(each, 0u);
  EXPECT_EQ(kept_after(45) - kept_after(5), 40 * each);
  options.load = full_training();
  EXPECT_EQ(kept_after(45), kept_after(0));
}

// Qwen2.5-VL-7B's sizes, trained whole: more than 100 GB, of which nothing is touched.
std::string large_config() {
  return R"({"model_type": "qwen2_5_vl", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
    "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
    "vocab_size": 152064, "tie_word_embeddings": false, "image_token_id": 151655, "video_token_id": 151656,
    "vision_start_token_id": 151652, "max_position_embeddings": 128000, "hidden_act": "silu",
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "vision_config": {"depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420,
      "num_heads": 16, "in_chans": 3, "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2,
      "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]}})";
}

TEST(estimate_uses_no_memory) {
  EstimateOptions options;
  options.config = large_config();
  options.load = full_training();
  options.threads = 2;
  options.prompts = {{300, {{1, 32, 32}}}, {300, {{1, 32, 32}}}};
  options.workload = {2, 8, {{0, 1}}, 0, 0};
  const size_t before = resident_bytes();
  const MemoryEstimate estimate = estimate_memory(options, StopFlag());
  EXPECT_GT(estimate.phases.back().held, size_t{100} << 30);
  EXPECT_EQ(estimate.picture_bytes, 2u * 32 * 32 * 1176 * 4);
  if (before > 0) EXPECT_LT(resident_bytes(), before + (size_t{48} << 20));
}

TEST(estimate_refuses_what_cannot_be) {
  EstimateOptions options;
  options.config = large_config();
  options.load = full_training();
  options.prompts = {{256, {{1, 32, 32}}}};
  options.workload = {2, 8, {{0}}, 0, 0};
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "the 256 of its pictures", estimate_memory(options, StopFlag()));
  options.prompts[0].tokens = 257;
  options.workload.micro_batches = {{1}};
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "indices of 1 prompts", estimate_memory(options, StopFlag()));
  options.prompts.clear();
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "at least one", estimate_memory(options, StopFlag()));
  const int32_t stop = 1;
  options.prompts = {{257, {{1, 32, 32}}}};
  options.workload.micro_batches = {{0}};
  EXPECT_ERROR(ErrorCode::kAborted, estimate_memory(options, StopFlag(&stop)));
  const auto backend = make_cpu_backend({1, ""});
  EXPECT_ERROR(ErrorCode::kState,
               Model::reserve(*backend, Json::parse(options.config, "config.json"), {}, DType::kF32));
}

// -- What it stands on.

TEST(core_memory_is_counted_by_kind) {
  const auto pool = std::make_shared<MemoryPool>();
  const auto plain = pool->allocate(100);
  auto weights = [&] {
    const MemoryScope scope(MemoryKind::kWeights);
    const MemoryScope inner(MemoryKind::kKvCache);
    const auto cache = pool->allocate(1000);
    const MemoryScope again(MemoryKind::kWeights);
    return pool->allocate(10);
  }();
  EXPECT_EQ(pool->peak(), 1110u);
  EXPECT_EQ(pool->peak_use().total(), 1110u);
  EXPECT_EQ(pool->peak_use().of(MemoryKind::kActivations), 100u);
  EXPECT_EQ(pool->peak_use().of(MemoryKind::kKvCache), 1000u);
  EXPECT_EQ(pool->peak_use().of(MemoryKind::kWeights), 10u);
  weights.reset();
  pool->reset_peak();
  EXPECT_EQ(pool->peak(), 100u);
  EXPECT_EQ(pool->peak_use().of(MemoryKind::kWeights), 0u);
  // The scopes have ended.
  const auto later = pool->allocate(5);
  EXPECT_EQ(pool->peak_use().of(MemoryKind::kActivations), 105u);
}

// A block takes as much of the system's memory as was ever asked of it, however it is rounded.
TEST(core_memory_held_is_what_was_touched) {
  const auto pool = std::make_shared<MemoryPool>();
  pool->allocate(40'000);  // given back at once
  EXPECT_EQ(pool->held(), 40'000u);
  const auto less = pool->allocate(30'000);
  EXPECT_EQ(less->bytes, 40'960u);
  EXPECT_EQ(pool->held(), 40'000u);
  const auto other = pool->allocate(30'000);
  EXPECT_EQ(pool->held(), 70'000u);
}

TEST(core_reserved_memory_is_counted_and_not_used) {
  constexpr size_t kLarge = size_t{1} << 38;
  const auto pool = std::make_shared<MemoryPool>(MemoryPool::Source::kReserved);
  const size_t before = resident_bytes();
  auto large = pool->allocate(kLarge);
  EXPECT_EQ(pool->held(), kLarge);
  EXPECT_TRUE(large->data != nullptr);
  if (before > 0) EXPECT_LT(resident_bytes(), before + (size_t{8} << 20));
  // Whoever touches it all the same does no harm.
  static_cast<char*>(large->data)[kLarge - 1] = 1;
  large.reset();
  pool->trim();
  EXPECT_EQ(pool->held(), 0u);
}

TEST(core_idle_pool_runs_nothing) {
  ThreadPool pool(8, true);
  EXPECT_EQ(pool.threads(), 8);
  bool ran = false;
  pool.run(100, [&](int64_t, int) { ran = true; });
  EXPECT_FALSE(ran);
  const int32_t word = 1;
  pool.set_stop(StopFlag(&word));
  EXPECT_ERROR(ErrorCode::kAborted, pool.run(1, [](int64_t, int) {}));
}

}  // namespace
}  // namespace vlmr1
