// Arguments of an engine's verbs, and those of files.
#include <cmath>
#include <limits>

#include "binding/arguments.h"
#include "core/error.h"

namespace vlmr1::binding {

namespace {

constexpr int64_t kMaxThreads = 1024;
constexpr int64_t kMaxRank = 1 << 16;
constexpr int64_t kMaxSide = int64_t{1} << 24;
constexpr int64_t kMaxPatchSide = 4096;
constexpr double kMaxFloat = std::numeric_limits<float>::max();
constexpr int64_t kMaxBytes = int64_t{1} << 53;
constexpr int64_t kMaxPrompts = 1 << 16;
constexpr int64_t kMaxRows = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxTokens = 1 << 24;
constexpr int64_t kMaxGrid = 1 << 16;

SaveDType read_dtype(const Reader& reader) {
  constexpr SaveDType dtypes[] = {SaveDType::kF32, SaveDType::kBF16, SaveDType::kF16};
  return dtypes[reader.choice({"f32", "bf16", "f16"})];
}

std::array<float, 3> read_channels(const Reader& reader) {
  const std::vector<Reader> items = reader.items();
  check(items.size() == 3, ErrorCode::kArgument, reader.path(), ": expected 3 numbers, got ", items.size());
  std::array<float, 3> values{};
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(items[i].number(-kMaxFloat, kMaxFloat));
  return values;
}

Precision read_precision(const Reader& reader) {
  constexpr Precision precisions[] = {Precision::kAuto, Precision::kF32, Precision::kBF16};
  return precisions[reader.choice({"auto", "f32", "bf16"})];
}

LoraPlan read_lora(const Reader& lora) {
  LoraPlan plan;
  for (const Reader& item : lora.field("modules").items()) {
    LoraModule module;
    module.name = item.field("name").string();
    module.rank = item.field("rank").integer(1, kMaxRank);
    module.scale = static_cast<float>(item.field("scale").number(-kMaxFloat, kMaxFloat));
    plan.modules.push_back(std::move(module));
  }
  plan.dropout = static_cast<float>(lora.field("dropout").number(0.0, std::nextafter(1.0f, 0.0f)));
  plan.seed = lora.field("seed").natural();
  plan.weights = lora.field("weights").string();
  plan.keep_start = lora.field("keepStart").boolean();
  return plan;
}

LoadOptions read_load_options(const Reader& args) {
  LoadOptions result;
  TrainingPlan& plan = result.plan;
  constexpr TrainMode modes[] = {TrainMode::kNone, TrainMode::kFull, TrainMode::kLora};
  plan.mode = modes[args.field("train").choice({"none", "full", "lora"})];
  plan.precision = read_precision(args.field("precision"));
  for (const Reader& name : args.field("frozen").items()) plan.frozen.insert(name.string());
  if (const Reader lora = args.field("lora"); !lora.is_null()) plan.lora = read_lora(lora);
  result.gradient_checkpointing = args.field("gradientCheckpointing").boolean();
  constexpr MomentType moments[] = {MomentType::kF32, MomentType::kInt8};
  for (const Reader& name : args.field("noDecay").items()) plan.no_decay.insert(name.string());
  plan.moments = moments[args.field("moments").choice({"f32", "int8"})];
  plan.stochastic_rounding = args.field("stochasticRounding").boolean();
  plan.writable = args.field("writable").boolean();
  return result;
}

PromptShape read_prompt_shape(const Reader& reader) {
  PromptShape shape;
  shape.tokens = reader.field("tokens").integer(1, kMaxTokens);
  for (const Reader& item : reader.field("grids").items()) {
    const std::vector<int32_t> sides = item.integers(1, kMaxGrid);
    check(sides.size() == 3, ErrorCode::kArgument, item.path(), ": expected [t, h, w], got ", sides.size(), " numbers");
    shape.grids.push_back({sides[0], sides[1], sides[2]});
  }
  return shape;
}

}  // namespace

EngineArguments read_engine(const Reader& options) {
  EngineArguments result;
  result.cuda = options.field("device").choice({"cpu", "cuda"}) == 1;
  result.threads = static_cast<int>(options.field("threads").integer(0, kMaxThreads));
  result.isa = options.field("isa").string();
  return result;
}

LoadModelArguments read_load_model(const Reader& args) {
  LoadModelArguments result;
  result.directory = args.field("directory").path_string();
  result.options = read_load_options(args);
  return result;
}

EstimateOptions read_estimate(const Reader& args) {
  constexpr DType stored[] = {DType::kF32, DType::kBF16, DType::kF16};
  constexpr ReferencePolicy references[] = {ReferencePolicy::kNone, ReferencePolicy::kSame, ReferencePolicy::kCopy};
  EstimateOptions result;
  result.config = args.field("config").string();
  result.load = read_load_options(args);
  result.stored = stored[args.field("storedDtype").choice({"f32", "bf16", "f16"})];
  for (const Reader& prompt : args.field("prompts").items()) result.prompts.push_back(read_prompt_shape(prompt));
  result.workload.completions = static_cast<int32_t>(args.field("completions").integer(1, kMaxPrompts));
  result.workload.max_new_tokens = static_cast<int32_t>(args.field("maxNewTokens").integer(1, kMaxTokens));
  for (const Reader& batch : args.field("microBatches").items())
    result.workload.micro_batches.push_back(batch.integers(0, kMaxPrompts));
  result.workload.max_rows = static_cast<int32_t>(args.field("maxRows").integer(0, kMaxRows));
  result.workload.evaluated = static_cast<int32_t>(args.field("evaluated").integer(0, kMaxPrompts));
  result.workload.evaluated_rows = static_cast<int32_t>(args.field("evaluatedRows").integer(0, kMaxRows));
  result.workload.earlier_steps = static_cast<int32_t>(args.field("earlierSteps").integer(0, kMaxPrompts));
  result.reference = references[args.field("reference").choice({"none", "same", "copy"})];
  result.reference_precision = read_precision(args.field("referencePrecision"));
  result.reference_writable = args.field("referenceWritable").boolean();
  return result;
}

InitModelArguments read_init_model(const Reader& args) {
  InitModelArguments result;
  result.config = args.field("config").string();
  result.directory = args.field("directory").path_string();
  result.weights.seed = args.field("seed").natural();
  result.weights.dtype = read_dtype(args.field("dtype"));
  result.weights.max_shard_bytes = args.field("maxShardBytes").integer(1, kMaxBytes - 1);
  return result;
}

ProcessImageArguments read_process_image(const Reader& args) {
  ProcessImageArguments result;
  result.width = args.field("width").integer(1, kMaxSide);
  result.height = args.field("height").integer(1, kMaxSide);
  result.resized_width = args.field("resizedWidth").integer(1, kMaxSide);
  result.resized_height = args.field("resizedHeight").integer(1, kMaxSide);
  const auto side = [&](const char* name) { return static_cast<int32_t>(args.field(name).integer(1, kMaxPatchSide)); };
  result.patches.patch_size = side("patchSize");
  result.patches.temporal_patch_size = side("temporalPatchSize");
  result.patches.merge_size = side("mergeSize");
  result.patches.mean = read_channels(args.field("mean"));
  result.patches.std = read_channels(args.field("std"));
  result.patches.rescale_factor = args.field("rescaleFactor").number(-kMaxFloat, kMaxFloat);
  const Reader rgb = args.field("rgb");
  result.rgb = rgb.byte_array();
  check(static_cast<int64_t>(result.rgb.size()) == result.width * result.height * 3, ErrorCode::kArgument, rgb.path(),
        ": expected ", result.height, " × ", result.width, " × 3 bytes, got ", result.rgb.size());
  return result;
}

SaveArguments read_save(const Reader& args) {
  using What = SaveArguments::What;
  constexpr What whats[] = {What::kModel, What::kMerged, What::kAdapter, What::kGradients, What::kState};
  SaveArguments result;
  result.path = args.field("path").path_string();
  result.what = whats[args.field("what").choice({"model", "merged", "adapter", "gradients", "state"})];
  result.dtype = read_dtype(args.field("dtype"));
  result.max_shard_bytes = args.field("maxShardBytes").integer(1, kMaxBytes - 1);
  return result;
}

}  // namespace vlmr1::binding
