#pragma once

#include <memory>

#include "models/model.h"
#include "models/qwen2_5_vl/config.h"
#include "models/qwen2_5_vl/decoder.h"
#include "models/qwen2_5_vl/vision.h"

namespace vlmr1::qwen2_5_vl {

class Qwen25VlModel final : public Model {
 public:
  Qwen25VlModel(Backend& backend, const Config& config, const LoadOptions& options);

  const ModelInfo& info() const override { return info_; }
  Backend& backend() override { return backend_; }
  ParameterStore& parameters() override { return parameters_; }
  void check_prompt(const Prompt& prompt, const std::string& where) const override;
  PromptPositions prompt_positions(const Prompt& prompt) const override;
  int64_t picture_tokens(const Picture& picture) const override;
  Variable hidden(Graph& graph, const PackedBatch& batch, AttentionContext& attention) override;
  Variable final_norm(Graph& graph, const Variable& rows) override { return decoder_->final_norm(graph, rows); }
  const Parameter& head() override { return decoder_->head(); }
  // Features of pictures alone, [Σ merged patches, E].
  Variable picture_features(Graph& graph, const std::vector<std::shared_ptr<const Picture>>& pictures);

 private:
  Backend& backend_;
  Config config_;
  LoadOptions options_;
  ParameterStore parameters_;
  std::unique_ptr<VisionTower> vision_;
  std::unique_ptr<Decoder> decoder_;
  ModelInfo info_;
};

}  // namespace vlmr1::qwen2_5_vl
