// The vision tower: patch embedding, blocks with window or full attention, and the merger.
#pragma once

#include <memory>
#include <vector>

#include "autograd/graph.h"
#include "models/qwen2_5_vl/config.h"
#include "models/qwen2_5_vl/positions.h"
#include "nn/layers.h"

namespace vlmr1::qwen2_5_vl {

class VisionTower {
 public:
  VisionTower(const VisionConfig& config, ParameterStore& parameters, bool checkpointing);
  // Features of all merged patches in picture order, [P / merge², E].
  Variable operator()(Graph& graph, const std::vector<std::shared_ptr<const Picture>>& pictures);

 private:
  struct Block {
    nn::RmsNorm norm1, norm2;
    nn::Linear qkv, proj;
    nn::SwigluMlp mlp;
  };
  Variable embed(Graph& graph, const std::vector<std::shared_ptr<const Picture>>& pictures,
                 const VisionLayout& layout) const;
  Variable block(Graph& graph, const Block& block, const Variable& x, const ops::RopeTable& rope,
                 const std::shared_ptr<const SegmentTree>& tree) const;

  VisionConfig config_;
  bool checkpointing_;
  nn::Linear patch_embed_, merger_in_, merger_out_;
  nn::RmsNorm merger_norm_;
  std::vector<Block> blocks_;
};

}  // namespace vlmr1::qwen2_5_vl
