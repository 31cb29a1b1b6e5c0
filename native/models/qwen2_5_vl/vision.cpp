#include "models/qwen2_5_vl/vision.h"

#include <string>

#include "core/trace.h"
#include "models/qwen2_5_vl/windows.h"
#include "ops/rows.h"

namespace vlmr1::qwen2_5_vl {

namespace {
// The tower's norms do not follow rms_norm_eps of the text.
constexpr float kNormEps = 1e-6f;
}  // namespace

Tower::Tower(const VisionConfig& config, ParameterStore& p, bool checkpointing)
    : config_(config),
      checkpointing_(checkpointing),
      patch_embed_(nn::linear(p, "visual.patch_embed.proj")),
      merger_(qwen_vl::merger(p, nn::RmsNorm{&p.get("visual.merger.ln_q.weight"), kNormEps}, config.patches.merged())) {
  for (int64_t i = 0; i < config.depth; ++i) {
    const std::string name = "visual.blocks." + std::to_string(i);
    blocks_.push_back({{&p.get(name + ".norm1.weight"), kNormEps},
                       {&p.get(name + ".norm2.weight"), kNormEps},
                       qwen_vl::vision_attention(p, name, config.heads),
                       {nn::linear(p, name + ".mlp.gate_proj"), nn::linear(p, name + ".mlp.up_proj"),
                        nn::linear(p, name + ".mlp.down_proj")}});
  }
}

Variable Tower::features(Graph& graph, const qwen_vl::Pictures& pictures) const {
  const Span span("vision tower", "pictures", static_cast<int64_t>(pictures.size()));
  Backend& backend = graph.backend();
  const WindowLayout windows = window_layout(config_, pictures);
  // A window lies within a frame, so frames are whole in this order too.
  const std::shared_ptr<const SegmentTree> frames = qwen_vl::frame_tree(pictures);
  const ops::RopeTable rope =
      qwen_vl::patch_rope(backend, config_.patches, config_.head_size(), pictures, windows.patch_order);
  Variable x =
      patch_embed_(graph, Variable(qwen_vl::upload_patches(backend, config_.patches, pictures, windows.patch_order)));
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const std::shared_ptr<const SegmentTree> tree = config_.is_full(static_cast<int64_t>(i)) ? frames : windows.tree;
    const auto run = [&block = blocks_[i], rope, tree](Graph& g, const Variable& in) {
      const Span layer_span("vision layer");
      const Variable y = block.attention(g, block.norm1(g, in), in, rope, tree);
      return block.mlp(g, block.norm2(g, y), y);
    };
    x = checkpointing_ ? recompute(graph, x, run) : run(graph, x);
  }
  return ops::gather_rows(graph, qwen_vl::join_rows(graph, x, config_.patches.merged()), windows.merged_place);
}

}  // namespace vlmr1::qwen2_5_vl
