// The model of all Qwen-VL families: a decoder with M-RoPE that takes picture features in place of picture tokens.
// Families differ in their vision tower.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/feature_cache.h"
#include "models/model.h"
#include "models/qwen_vl/config.h"
#include "models/qwen_vl/decoder.h"
#include "models/qwen_vl/specs.h"
#include "models/qwen_vl/vision_tower.h"

namespace vlmr1::qwen_vl {

// What a family makes of a config.json.
struct Architecture {
  Config config;
  std::vector<ParameterSpec> parameters;
  std::function<std::unique_ptr<VisionTower>(ParameterStore& parameters, bool checkpointing)> make_tower;
};

// Of a family's own parts: its vision configuration, parameters and tower. Throws ERR_CONFIG.
template <typename Tower, typename VisionConfig>
Architecture make_architecture(const Json& json, VisionConfig (*parse_vision)(const Json& json, const Config& config),
                               void (*add_tower)(SpecList& list, const VisionConfig& vision)) {
  const Config config = parse_config(json);
  const VisionConfig vision = parse_vision(json.at("vision_config"), config);
  SpecList list;
  add_tower(list, vision);
  add_decoder(list, config.text);
  return {config, list.all(), [vision](ParameterStore& parameters, bool checkpointing) {
            return std::make_unique<Tower>(vision, parameters, checkpointing);
          }};
}

ModelDescription describe(const Architecture& architecture);

class QwenVlModel final : public Model {
 public:
  QwenVlModel(Backend& backend, const Architecture& architecture, const LoadOptions& options);

  const ModelInfo& info() const override { return info_; }
  Backend& backend() override { return backend_; }
  ParameterStore& parameters() override { return parameters_; }
  void check_prompt(const Prompt& prompt, const std::string& where) const override;
  PromptPositions prompt_positions(const Prompt& prompt) const override;
  int64_t picture_tokens(const Picture& picture) const override;
  Variable hidden(Graph& graph, const PackedBatch& batch, AttentionContext& attention) override;
  Variable final_norm(Graph& graph, const Variable& rows) override { return decoder_->final_norm(graph, rows); }
  const Parameter& head() override { return decoder_->head(); }
  // Features of pictures alone, [Σ picture tokens, E]. What frozen weights make of a picture is kept.
  Variable picture_features(Graph& graph, const Pictures& pictures);

 private:
  void check_picture(const Picture& picture, const std::string& where) const;
  bool is_fixed(Part part) const;
  Variable kept_features(const Pictures& pictures);

  Backend& backend_;
  Config config_;
  ParameterStore parameters_;
  std::unique_ptr<VisionTower> vision_;
  std::unique_ptr<Decoder> decoder_;
  ModelInfo info_;
  FeatureCache features_;
};

}  // namespace vlmr1::qwen_vl
