// Arguments of a model's verbs.
#include <cmath>
#include <limits>
#include <memory>

#include "binding/arguments.h"
#include "core/error.h"

namespace vlmr1::binding {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMaxFloat = std::numeric_limits<float>::max();
constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxCompletions = 1 << 16;
constexpr int64_t kMaxNewTokens = 1 << 24;
constexpr int64_t kMaxGrid = 1 << 16;
constexpr int64_t kMaxCount = int64_t{1} << 53;
constexpr int64_t kChannels = 3;

float read_float(const Reader& reader, double min, double max) { return static_cast<float>(reader.number(min, max)); }

// Several prompts of a call often show the same picture: it is copied once.
class PictureReader {
 public:
  explicit PictureReader(const ModelInfo& model)
      : row_(kChannels * model.temporal_patch_size * model.patch_size * model.patch_size) {}

  std::shared_ptr<const Picture> read(const Reader& reader) {
    const Reader pixels = reader.field("pixelValues");
    const std::array<int32_t, 3> grid = read_grid(reader.field("grid"));
    for (const Seen& seen : seen_)
      if (seen.pixels.StrictEquals(pixels.value()) && seen.picture->grid == grid) return seen.picture;
    auto picture = std::make_shared<Picture>();
    picture->grid = grid;
    picture->pixel_values = pixels.float32_array();
    const int64_t expected = picture->patches() * row_;
    check(static_cast<int64_t>(picture->pixel_values.size()) == expected, ErrorCode::kShape, pixels.path(),
          ": expected ", picture->patches(), " patches of ", row_, " numbers for the grid, got ",
          picture->pixel_values.size(), " numbers");
    seen_.push_back({pixels.value(), picture});
    return picture;
  }

 private:
  struct Seen {
    Napi::Value pixels;
    std::shared_ptr<const Picture> picture;
  };

  static std::array<int32_t, 3> read_grid(const Reader& reader) {
    const std::vector<int32_t> sides = reader.integers(1, kMaxGrid);
    check(sides.size() == 3, ErrorCode::kArgument, reader.path(), ": expected [t, h, w], got ", sides.size(),
          " numbers");
    return {sides[0], sides[1], sides[2]};
  }

  int64_t row_;
  std::vector<Seen> seen_;
};

void check_ids(const Reader& reader, const std::vector<int32_t>& ids, const ModelInfo& model) {
  check(!ids.empty(), ErrorCode::kTokens, reader.path(), ": expected at least one token");
  for (size_t i = 0; i < ids.size(); ++i)
    check(ids[i] >= 0 && ids[i] < model.vocab_size, ErrorCode::kTokens, reader.path(), "[", i,
          "]: expected a token id from 0 to ", model.vocab_size - 1, ", got ", ids[i]);
}

Prompt read_prompt(const Reader& reader, const ModelInfo& model, PictureReader& pictures) {
  Prompt prompt;
  const Reader tokens = reader.field("tokens");
  prompt.tokens = tokens.int32_array();
  check_ids(tokens, prompt.tokens, model);
  for (const Reader& image : reader.field("images").items()) prompt.pictures.push_back(pictures.read(image));
  return prompt;
}

std::vector<Reader> some_items(const Reader& reader) {
  std::vector<Reader> items = reader.items();
  if (items.empty()) reader.fail_expected("at least one element");
  return items;
}

std::vector<Group> read_groups(const Reader& reader, const ModelInfo& model) {
  PictureReader pictures(model);
  std::vector<Group> groups;
  for (const Reader& item : some_items(reader)) {
    Group group;
    group.prompt = read_prompt(item.field("prompt"), model, pictures);
    for (const Reader& completion : some_items(item.field("completions"))) {
      group.completions.push_back(completion.int32_array());
      check_ids(completion, group.completions.back(), model);
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

void check_count(const Reader& reader, const char* of, size_t expected, size_t got) {
  check(got == expected, ErrorCode::kShape, reader.path(), ": expected ", expected, " (", of, "), got ", got);
}

// [group][completion], one number each.
std::vector<std::vector<float>> read_per_completion(const Reader& reader, const std::vector<Group>& groups) {
  const std::vector<Reader> items = reader.items();
  check_count(reader, "one per group", groups.size(), items.size());
  std::vector<std::vector<float>> values;
  for (size_t g = 0; g < items.size(); ++g) {
    values.push_back(items[g].float32_array());
    check_count(items[g], "one per completion", groups[g].completions.size(), values[g].size());
  }
  return values;
}

// [group][completion][token]; empty where no array holds anything.
TokenValues read_token_values(const Reader& reader, const std::vector<Group>& groups) {
  TokenValues values;
  bool empty = true;
  const std::vector<Reader> items = reader.items();
  for (const Reader& item : items) {
    values.emplace_back();
    for (const Reader& tokens : item.items()) {
      values.back().push_back(tokens.float32_array());
      empty = empty && values.back().back().empty();
    }
  }
  if (empty) return {};
  check_count(reader, "one per group", groups.size(), values.size());
  for (size_t g = 0; g < values.size(); ++g) {
    check_count(items[g], "one per completion", groups[g].completions.size(), values[g].size());
    for (size_t c = 0; c < values[g].size(); ++c) {
      const Reader tokens(items[g].value(), items[g].path() + "[" + std::to_string(c) + "]");
      check_count(tokens, "one per token", groups[g].completions[c].size(), values[g][c].size());
    }
  }
  return values;
}

// [group][completion]; empty: all are kept.
std::vector<std::vector<uint8_t>> read_mask(const Reader& reader, const std::vector<Group>& groups) {
  const std::vector<Reader> items = reader.items();
  std::vector<std::vector<uint8_t>> keep;
  if (items.empty()) return keep;
  check_count(reader, "one per group", groups.size(), items.size());
  for (size_t g = 0; g < items.size(); ++g) {
    keep.push_back(items[g].byte_array());
    check_count(items[g], "one per completion", groups[g].completions.size(), keep[g].size());
  }
  return keep;
}

AdapterMode::Use read_adapter_use(const Reader& reader) {
  using Use = AdapterMode::Use;
  constexpr Use uses[] = {Use::kOn, Use::kOff, Use::kStart};
  return uses[reader.choice({"on", "off", "start"})];
}

SamplingOptions read_sampling(const Reader& reader) {
  SamplingOptions sampling;
  sampling.temperature = read_float(reader.field("temperature"), 0.0, kMaxFloat);
  sampling.top_k = static_cast<int32_t>(reader.field("topK").integer(0, kMaxInt));
  sampling.top_p = read_float(reader.field("topP"), 0.0, 1.0);
  sampling.min_p = read_float(reader.field("minP"), 0.0, 1.0);
  sampling.repetition_penalty = read_float(reader.field("repetitionPenalty"), 0.0, kMaxFloat);
  sampling.max_new_tokens = static_cast<int32_t>(reader.field("maxNewTokens").integer(1, kMaxNewTokens));
  sampling.stop_tokens = reader.field("stopTokens").integers(0, kMaxInt);
  return sampling;
}

void read_grpo_loss(const Reader& reader, LossType type, AccumulateArguments& args) {
  LossOptions& loss = args.objective.loss;
  loss.type = type;
  loss.temperature = read_float(reader.field("temperature"), 0.0, kMaxFloat);
  loss.epsilon = read_float(reader.field("epsilon"), 0.0, kMaxFloat);
  loss.epsilon_high = read_float(reader.field("epsilonHigh"), 0.0, kMaxFloat);
  loss.beta = read_float(reader.field("beta"), 0.0, kMaxFloat);
  loss.delta = read_float(reader.field("delta"), 0.0, kInfinity);
  loss.total_sequences = reader.field("totalSequences").integer(0, kMaxCount - 1);
  loss.total_tokens = reader.field("totalTokens").integer(0, kMaxCount - 1);
  loss.max_completion_length = reader.field("maxCompletionLength").integer(0, kMaxInt);
  args.objective.advantages = read_per_completion(reader.field("advantages"), args.groups);
  args.objective.old_log_probs = read_token_values(reader.field("oldLogProbs"), args.groups);
  const Reader reference = reader.field("refLogProbs");
  args.objective.ref_log_probs = read_token_values(reference, args.groups);
  check(loss.beta == 0.0f || !args.objective.ref_log_probs.empty(), ErrorCode::kArgument, reference.path(),
        ": expected log-probabilities of the reference, because beta > 0");
  args.objective.keep = read_mask(reader.field("mask"), args.groups);
}

}  // namespace

GenerateArguments read_generate(const Reader& args, const ModelInfo& model) {
  GenerateArguments result;
  PictureReader pictures(model);
  for (const Reader& prompt : some_items(args.field("prompts")))
    result.prompts.push_back(read_prompt(prompt, model, pictures));
  result.options.n = static_cast<int32_t>(args.field("n").integer(1, kMaxCompletions));
  result.options.sampling = read_sampling(args.field("sampling"));
  result.options.seed = args.field("seed").natural();
  result.options.first_row = args.field("firstRow").natural();
  result.options.adapter = read_adapter_use(args.field("adapter"));
  result.options.max_rows = static_cast<int32_t>(args.field("maxRows").integer(0, kMaxInt));
  return result;
}

LogProbsArguments read_log_probs(const Reader& args, const ModelInfo& model) {
  LogProbsArguments result;
  result.groups = read_groups(args.field("groups"), model);
  result.temperature = read_float(args.field("temperature"), 0.0, kMaxFloat);
  result.adapter = read_adapter_use(args.field("adapter"));
  return result;
}

AccumulateArguments read_accumulate(const Reader& args, const ModelInfo& model) {
  constexpr LossType types[] = {LossType::kGrpo, LossType::kBnpo, LossType::kDrGrpo, LossType::kDapo, LossType::kSft};
  AccumulateArguments result;
  result.groups = read_groups(args.field("groups"), model);
  result.objective.dropout_seed = args.field("dropoutSeed").natural();
  const Reader loss = args.field("loss");
  const LossType type = types[loss.field("kind").choice({"grpo", "bnpo", "dr_grpo", "dapo", "sft"})];
  if (type == LossType::kSft) {
    result.objective.loss.type = type;
    result.objective.loss.total_tokens = loss.field("totalTokens").integer(1, kMaxCount - 1);
  } else {
    read_grpo_loss(loss, type, result);
  }
  return result;
}

AdamWOptions read_step(const Reader& args) {
  AdamWOptions options;
  const double below_one = std::nextafter(1.0f, 0.0f);
  const Reader rates = args.field("learningRate");
  const auto rate = [&](const char* part) { return read_float(rates.field(part), 0.0, kMaxFloat); };
  options.learning_rate = {rate("vision"), rate("merger"), rate("language")};
  options.beta1 = read_float(args.field("beta1"), 0.0, below_one);
  options.beta2 = read_float(args.field("beta2"), 0.0, below_one);
  options.epsilon = read_float(args.field("epsilon"), 0.0, kMaxFloat);
  options.weight_decay = read_float(args.field("weightDecay"), 0.0, kMaxFloat);
  options.max_grad_norm = read_float(args.field("maxGradNorm"), 0.0, kInfinity);
  options.seed = args.field("seed").natural();
  return options;
}

}  // namespace vlmr1::binding
