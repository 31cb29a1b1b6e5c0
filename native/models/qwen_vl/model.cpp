#include "models/qwen_vl/model.h"

#include "models/qwen_vl/positions.h"
#include "ops/rows.h"

namespace vlmr1::qwen_vl {

namespace {
// Some hundred pictures of the usual size in a model of 3 billion parameters.
constexpr size_t kMaxFeatureBytes = size_t{256} << 20;
}  // namespace

ModelDescription describe(const Architecture& architecture) {
  ModelDescription out{model_info(architecture.config), architecture.parameters};
  for (const ParameterSpec& spec : out.parameters) out.info.parameters += spec.shape.numel();
  return out;
}

QwenVlModel::QwenVlModel(Backend& backend, const Architecture& architecture, const LoadOptions& options)
    : backend_(backend),
      config_(architecture.config),
      parameters_(backend, architecture.parameters, options.plan),
      vision_(architecture.make_tower(parameters_, options.gradient_checkpointing)),
      decoder_(std::make_unique<Decoder>(config_.text, parameters_, options.gradient_checkpointing)),
      info_(describe(architecture).info),
      features_(kMaxFeatureBytes) {
  info_.trainable_parameters = parameters_.trainable_count();
}

int64_t QwenVlModel::picture_tokens(const Picture& picture) const {
  return picture.patches() / config_.patches.merged();
}

void QwenVlModel::check_picture(const Picture& picture, const std::string& where) const {
  const int64_t merge = config_.patches.merge_size;
  const auto& grid = picture.grid;
  check(grid[0] > 0 && grid[1] > 0 && grid[2] > 0 && grid[1] % merge == 0 && grid[2] % merge == 0, ErrorCode::kTokens,
        where, ": expected a grid of multiples of ", merge, ", got ", grid[0], "×", grid[1], "×", grid[2]);
  if (backend_.dry_run()) return;  // a grid is all it needs
  const int64_t values = picture.patches() * config_.patches.elements();
  check(static_cast<int64_t>(picture.pixel_values.size()) == values, ErrorCode::kShape, where, ": expected ", values,
        " pixel values, got ", picture.pixel_values.size());
}

void QwenVlModel::check_prompt(const Prompt& prompt, const std::string& where) const {
  check(!prompt.tokens.empty(), ErrorCode::kTokens, where, ": expected a prompt of at least one token");
  size_t picture = 0;
  for (size_t i = 0; i < prompt.tokens.size();) {
    const int32_t token = prompt.tokens[i];
    check(token >= 0 && token < info_.vocab_size, ErrorCode::kTokens, where, ": expected token ids in [0, ",
          info_.vocab_size, "), got ", token);
    if (token != info_.image_token_id) {
      ++i;
      continue;
    }
    check(picture < prompt.pictures.size(), ErrorCode::kTokens, where, ": more picture tokens than the ",
          prompt.pictures.size(), " pictures need");
    const std::string which = where + ", picture " + std::to_string(picture);
    const Picture& p = *prompt.pictures[picture++];
    check_picture(p, which);
    const size_t end = i + static_cast<size_t>(picture_tokens(p));
    for (; i < end; ++i)
      check(i < prompt.tokens.size() && prompt.tokens[i] == info_.image_token_id, ErrorCode::kTokens, which,
            ": expected ", picture_tokens(p), " picture tokens in a row");
  }
  check(picture == prompt.pictures.size(), ErrorCode::kTokens, where, ": ", prompt.pictures.size(),
        " pictures, but picture tokens for ", picture);
}

PromptPositions QwenVlModel::prompt_positions(const Prompt& prompt) const {
  return qwen_vl::prompt_positions(config_, prompt);
}

// Neither trained nor adapted: it makes the same of a picture as long as nobody writes to it.
bool QwenVlModel::is_fixed(Part part) const {
  for (const auto& [name, adapter] : parameters_.adapters())
    if (adapter.a->part == part) return false;
  return !parameters_.trains(part);
}

// Of the tower, or of tower and merger where both are fixed. Pictures that are not kept yet are encoded together.
Variable QwenVlModel::kept_features(const Pictures& pictures) {
  features_.of_weights(parameters_.written());
  std::vector<Tensor> parts;
  Pictures missing;
  for (const auto& picture : pictures) {
    parts.push_back(features_.find(*picture));
    if (!parts.back()) missing.push_back(picture);
  }
  if (!missing.empty()) {
    Graph silent(backend_, false);
    Variable fresh = vision_->features(silent, missing);
    if (is_fixed(Part::kMerger)) fresh = vision_->merge(silent, fresh);
    int64_t row = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i]) continue;
      const int64_t end = row + picture_tokens(*pictures[i]);
      parts[i] = backend_.empty({end - row, fresh.shape()[1]});
      backend_.copy(fresh.value().rows(row, end), parts[i]);
      features_.put(*pictures[i], parts[i]);
      row = end;
    }
  }
  int64_t rows = 0;
  for (const Tensor& part : parts) rows += part.shape()[0];
  Tensor all = backend_.empty({rows, parts[0].shape()[1]});
  int64_t row = 0;
  for (const Tensor& part : parts) {
    Tensor place = all.rows(row, row + part.shape()[0]);
    backend_.copy(part, place);
    row += part.shape()[0];
  }
  return Variable(all);
}

Variable QwenVlModel::picture_features(Graph& graph, const Pictures& pictures) {
  if (!is_fixed(Part::kVision)) return vision_->merge(graph, vision_->features(graph, pictures));
  const Variable kept = kept_features(pictures);
  return is_fixed(Part::kMerger) ? kept : vision_->merge(graph, kept);
}

Variable QwenVlModel::hidden(Graph& graph, const PackedBatch& batch, AttentionContext& attention) {
  Variable x = decoder_->embed(graph, batch.tokens);
  if (!batch.pictures.empty()) {
    const Variable features = picture_features(graph, batch.pictures);
    x = ops::replace_rows(graph, x, ops::gather_rows(graph, features, batch.picture_sources), batch.picture_rows);
  }
  return decoder_->layers(graph, x, text_rope(backend_, config_.text, batch.positions), attention);
}

}  // namespace vlmr1::qwen_vl
