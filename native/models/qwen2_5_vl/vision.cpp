#include "models/qwen2_5_vl/vision.h"

#include <cmath>
#include <cstring>
#include <string>

#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/rows.h"

namespace vlmr1::qwen2_5_vl {

namespace {
// The tower's norms do not follow rms_norm_eps of the text.
constexpr float kNormEps = 1e-6f;
}  // namespace

VisionTower::VisionTower(const VisionConfig& config, ParameterStore& p, bool checkpointing)
    : config_(config), checkpointing_(checkpointing) {
  const auto linear = [&p](const std::string& name) { return nn::linear(p, name); };
  patch_embed_ = linear("visual.patch_embed.proj");
  for (int64_t i = 0; i < config.depth; ++i) {
    const std::string name = "visual.blocks." + std::to_string(i);
    blocks_.push_back(
        {{&p.get(name + ".norm1.weight"), kNormEps},
         {&p.get(name + ".norm2.weight"), kNormEps},
         linear(name + ".attn.qkv"),
         linear(name + ".attn.proj"),
         {linear(name + ".mlp.gate_proj"), linear(name + ".mlp.up_proj"), linear(name + ".mlp.down_proj")}});
  }
  merger_norm_ = {&p.get("visual.merger.ln_q.weight"), kNormEps};
  merger_in_ = linear("visual.merger.mlp.0");
  merger_out_ = linear("visual.merger.mlp.2");
}

Variable VisionTower::embed(Graph& graph, const std::vector<std::shared_ptr<const Picture>>& pictures,
                            const VisionLayout& layout) const {
  const int64_t elements = config_.patch_elements();
  const int64_t patches = static_cast<int64_t>(layout.patch_order.size());
  std::vector<const float*> rows;
  for (const auto& picture : pictures)
    for (int64_t i = 0; i < picture->patches(); ++i) rows.push_back(picture->pixel_values.data() + i * elements);
  std::vector<float> pixels(patches * elements);
  for (int64_t i = 0; i < patches; ++i)
    std::memcpy(&pixels[i * elements], rows[layout.patch_order[i]], elements * sizeof(float));
  Tensor x = graph.backend().empty({patches, elements});
  graph.backend().upload(x, pixels.data());
  return patch_embed_(graph, Variable(x));
}

Variable VisionTower::block(Graph& graph, const Block& b, const Variable& x, const ops::RopeTable& rope,
                            const std::shared_ptr<const SegmentTree>& tree) const {
  const int64_t e = config_.hidden_size;
  const int64_t d = config_.head_size();
  const AttentionShape shape{config_.heads, config_.heads, d, 1.0f / std::sqrt(static_cast<float>(d))};
  const Variable h = b.norm1(graph, x);
  const Variable q = ops::rope(graph, b.qkv.part(graph, h, 0, e), rope, d);
  const Variable k = ops::rope(graph, b.qkv.part(graph, h, e, 2 * e), rope, d);
  const Variable v = b.qkv.part(graph, h, 2 * e, 3 * e);
  const Variable y = b.proj(graph, ops::attention(graph, q, k, v, tree, shape), &x);
  return b.mlp(graph, b.norm2(graph, y), y);
}

Variable VisionTower::operator()(Graph& graph, const std::vector<std::shared_ptr<const Picture>>& pictures) {
  const VisionLayout layout = vision_layout(config_, pictures);
  const ops::RopeTable rope = vision_rope(graph.backend(), config_, pictures, layout);
  Variable x = embed(graph, pictures, layout);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto& tree = config_.is_full(static_cast<int64_t>(i)) ? layout.frames : layout.windows;
    const auto run = [this, i, rope, tree](Graph& g, const Variable& in) {
      return block(g, blocks_[i], in, rope, tree);
    };
    x = checkpointing_ ? recompute(graph, x, run) : run(graph, x);
  }
  const int64_t unit = config_.merge_size * config_.merge_size;
  x = ops::reshape(graph, merger_norm_(graph, x), {x.shape()[0] / unit, x.shape()[1] * unit});
  x = merger_out_(graph, ops::gelu(graph, merger_in_(graph, x), GeluKind::kExact));
  return ops::gather_rows(graph, x, layout.merged_place);
}

}  // namespace vlmr1::qwen2_5_vl
