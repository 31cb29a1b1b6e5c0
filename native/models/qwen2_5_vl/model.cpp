#include "models/qwen2_5_vl/model.h"

#include "ops/rows.h"

namespace vlmr1::qwen2_5_vl {

Qwen25VlModel::Qwen25VlModel(Backend& backend, const Config& config, const LoadOptions& options)
    : backend_(backend),
      config_(config),
      options_(options),
      parameters_(backend, parameter_specs(config), options.plan) {
  vision_ = std::make_unique<VisionTower>(config_.vision, parameters_, options.gradient_checkpointing);
  decoder_ = std::make_unique<Decoder>(config_.text, parameters_, options.gradient_checkpointing);
  info_ = model_info(config);
  info_.trainable_parameters = parameters_.trainable_count();
}

int64_t Qwen25VlModel::picture_tokens(const Picture& picture) const {
  return picture.patches() / (config_.vision.merge_size * config_.vision.merge_size);
}

void Qwen25VlModel::check_prompt(const Prompt& prompt, const std::string& where) const {
  check(!prompt.tokens.empty(), ErrorCode::kTokens, where, ": expected a prompt of at least one token");
  const int64_t merge = config_.vision.merge_size;
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
    const Picture& p = *prompt.pictures[picture++];
    check(p.grid[0] > 0 && p.grid[1] > 0 && p.grid[2] > 0 && p.grid[1] % merge == 0 && p.grid[2] % merge == 0,
          ErrorCode::kTokens, where, ", picture ", picture - 1, ": expected a grid of multiples of ", merge, ", got ",
          p.grid[0], "×", p.grid[1], "×", p.grid[2]);
    check(static_cast<int64_t>(p.pixel_values.size()) == p.patches() * config_.vision.patch_elements(),
          ErrorCode::kShape, where, ", picture ", picture - 1, ": expected ",
          p.patches() * config_.vision.patch_elements(), " pixel values, got ", p.pixel_values.size());
    const size_t end = i + static_cast<size_t>(picture_tokens(p));
    for (; i < end; ++i)
      check(i < prompt.tokens.size() && prompt.tokens[i] == info_.image_token_id, ErrorCode::kTokens, where,
            ", picture ", picture - 1, ": expected ", picture_tokens(p), " picture tokens in a row");
  }
  check(picture == prompt.pictures.size(), ErrorCode::kTokens, where, ": ", prompt.pictures.size(),
        " pictures, but picture tokens for ", picture);
}

PromptPositions Qwen25VlModel::prompt_positions(const Prompt& prompt) const {
  return qwen2_5_vl::prompt_positions(config_, prompt);
}

Variable Qwen25VlModel::picture_features(Graph& graph, const std::vector<std::shared_ptr<const Picture>>& pictures) {
  if (parameters_.trains(Part::kVision) || parameters_.trains(Part::kMerger)) return (*vision_)(graph, pictures);
  Graph silent(backend_, false);  // a frozen tower keeps nothing for a backward pass that it does not have
  return (*vision_)(silent, pictures);
}

Variable Qwen25VlModel::hidden(Graph& graph, const PackedBatch& batch, AttentionContext& attention) {
  Variable x = decoder_->embed(graph, batch.tokens);
  if (!batch.pictures.empty()) {
    const Variable features = picture_features(graph, batch.pictures);
    x = ops::replace_rows(graph, x, ops::gather_rows(graph, features, batch.picture_sources), batch.picture_rows);
  }
  return decoder_->layers(graph, x, text_rope(backend_, config_.text, batch.positions), attention);
}

}  // namespace vlmr1::qwen2_5_vl
