// The vision tower: patch embedding, blocks with window or full attention, and the merger.
#pragma once

#include <vector>

#include "models/qwen2_5_vl/config.h"
#include "models/qwen_vl/vision_tower.h"

namespace vlmr1::qwen2_5_vl {

class Tower final : public qwen_vl::VisionTower {
 public:
  Tower(const VisionConfig& config, ParameterStore& parameters, bool checkpointing);
  Variable features(Graph& graph, const qwen_vl::Pictures& pictures) const override;
  Variable merge(Graph& graph, const Variable& features) const override { return merger_(graph, features); }

 private:
  struct Block {
    nn::RmsNorm norm1, norm2;
    qwen_vl::VisionAttention attention;
    nn::SwigluMlp mlp;
  };

  VisionConfig config_;
  bool checkpointing_;
  nn::Linear patch_embed_;
  std::vector<Block> blocks_;
  qwen_vl::Merger<nn::RmsNorm> merger_;
};

}  // namespace vlmr1::qwen2_5_vl
