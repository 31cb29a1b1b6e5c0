// Arguments of a model's verbs.
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

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

DecoderOptions read_open_decoder(const Reader& args) {
  DecoderOptions options;
  options.max_rows = static_cast<int32_t>(args.field("maxRows").integer(0, kMaxInt));
  options.adapter = read_adapter_use(args.field("adapter"));
  return options;
}

std::vector<DecodeRequest> read_requests(const Reader& list, const ModelInfo& model) {
  std::vector<DecodeRequest> requests;
  PictureReader pictures(model);
  for (const Reader& item : list.items()) {
    DecodeRequest request;
    request.id = item.field("id").natural();
    request.prompt = read_prompt(item.field("prompt"), model, pictures);
    request.sampling = read_sampling(item.field("sampling"));
    request.seed = item.field("seed").natural();
    request.row = item.field("row").natural();
    request.completion = item.field("completion").natural();
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<uint64_t> read_ids(const Reader& list) {
  std::vector<uint64_t> ids;
  for (const Reader& item : list.items()) ids.push_back(item.natural());
  return ids;
}

double read_milliseconds(const Reader& reader) { return reader.number(0.0, kMaxFloat); }

LogProbsArguments read_log_probs(const Reader& args, const ModelInfo& model) {
  LogProbsArguments result;
  result.groups = read_groups(args.field("groups"), model);
  result.temperature = read_float(args.field("temperature"), 0.0, kMaxFloat);
  result.adapter = read_adapter_use(args.field("adapter"));
  return result;
}

AccumulateArguments read_accumulate(const Reader& args, const ModelInfo& model) {
  AccumulateArguments result;
  result.groups = read_groups(args.field("groups"), model);
  Lengths lengths;
  for (const Group& group : result.groups) {
    lengths.emplace_back();
    for (const auto& completion : group.completions) lengths.back().push_back(completion.size());
  }
  result.objective = read_objective(args.field("loss"), lengths);
  result.objective.dropout_seed = args.field("dropoutSeed").natural();
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
