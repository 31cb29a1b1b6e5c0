#include "models/qwen2_vl/vision.h"

#include <string>

#include "core/trace.h"
namespace vlmr1::qwen2_vl {

namespace {

nn::LayerNorm layer_norm(ParameterStore& p, const std::string& name) {
  return {&p.get(name + ".weight"), &p.get(name + ".bias"), 1e-6f};
}

}  // namespace

Tower::Tower(const VisionConfig& config, ParameterStore& p, bool checkpointing)
    : config_(config),
      checkpointing_(checkpointing),
      patch_embed_(nn::linear(p, "visual.patch_embed.proj")),
      merger_(qwen_vl::merger(p, layer_norm(p, "visual.merger.ln_q"), config.patches.merged())) {
  for (int64_t i = 0; i < config.depth; ++i) {
    const std::string name = "visual.blocks." + std::to_string(i);
    blocks_.push_back({layer_norm(p, name + ".norm1"),
                       layer_norm(p, name + ".norm2"),
                       qwen_vl::vision_attention(p, name, config.heads),
                       {nn::linear(p, name + ".mlp.fc1"), nn::linear(p, name + ".mlp.fc2"), config.activation}});
  }
}

Variable Tower::features(Graph& graph, const qwen_vl::Pictures& pictures) const {
  const Span span("vision tower", "pictures", static_cast<int64_t>(pictures.size()));
  Backend& backend = graph.backend();
  const std::vector<int32_t> order = qwen_vl::picture_order(pictures);
  const std::shared_ptr<const SegmentTree> frames = qwen_vl::frame_tree(pictures);
  const ops::RopeTable rope = qwen_vl::patch_rope(backend, config_.patches, config_.head_size(), pictures, order);
  Variable x = patch_embed_(graph, Variable(qwen_vl::upload_patches(backend, config_.patches, pictures, order)));
  for (const Block& block : blocks_) {
    const auto run = [&block, rope, frames](Graph& g, const Variable& in) {
      const Span layer_span("vision layer");
      const Variable y = block.attention(g, block.norm1(g, in), in, rope, frames);
      return block.mlp(g, block.norm2(g, y), y);
    };
    x = checkpointing_ ? recompute(graph, x, run) : run(graph, x);
  }
  return qwen_vl::join_rows(graph, x, config_.patches.merged());
}

}  // namespace vlmr1::qwen2_vl
