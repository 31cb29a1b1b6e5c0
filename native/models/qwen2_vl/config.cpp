#include "models/qwen2_vl/config.h"

#include <string>

#include "core/error.h"
#include "models/qwen_vl/fields.h"

namespace vlmr1::qwen2_vl {

namespace {

using qwen_vl::positive_or;

// What transformers 4 writes leaves out what is as in its class, so all fields have a default.
constexpr int64_t kDepth = 32;
constexpr int64_t kEmbedDim = 1280;
constexpr int64_t kHeads = 16;
constexpr double kMlpRatio = 4.0;

// transformers' names; it computes the tanh approximation in several ways.
GeluKind parse_activation(const std::string& name) {
  if (name == "quick_gelu") return GeluKind::kQuick;
  if (name == "gelu") return GeluKind::kExact;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast") return GeluKind::kTanh;
  fail(ErrorCode::kConfig,
       "config.json: vision_config.hidden_act: expected quick_gelu, gelu, gelu_pytorch_tanh, gelu_new or gelu_fast, "
       "got ",
       name);
}

}  // namespace

VisionConfig parse_vision(const Json& json, const qwen_vl::Config& config) {
  const std::string where = "vision_config.";
  VisionConfig v{};
  v.patches = config.patches;
  v.depth = positive_or(json, where, "depth", qwen_vl::kMostLayers, kDepth);
  v.embed_dim = positive_or(json, where, "embed_dim", qwen_vl::kMostWidth, kEmbedDim);
  v.heads = positive_or(json, where, "num_heads", qwen_vl::kMostWidth, kHeads);
  qwen_vl::check_tower_heads(v.embed_dim, v.heads);
  const double ratio = json.double_or("mlp_ratio", kMlpRatio);
  const double inner = static_cast<double>(v.embed_dim) * ratio;
  check(inner >= 1 && inner <= qwen_vl::kMostWidth, ErrorCode::kConfig,
        "config.json: vision_config.mlp_ratio: expected a feed-forward layer of 1 to ", qwen_vl::kMostWidth,
        " features, got ", v.embed_dim, " · ", ratio);
  v.intermediate_size = static_cast<int64_t>(inner);
  v.out_hidden_size = qwen_vl::parse_tower_output(json, "hidden_size", config.text);
  v.activation = parse_activation(json.string_or("hidden_act", "quick_gelu"));
  return v;
}

void add_tower(qwen_vl::SpecList& list, const VisionConfig& v) {
  list.begin(Part::kVision);
  qwen_vl::add_patch_embedding(list, v.patches, v.embed_dim);
  for (int64_t i = 0; i < v.depth; ++i) {
    const std::string block = "visual.blocks." + std::to_string(i);
    list.layer_norm(block + ".norm1", v.embed_dim);
    list.layer_norm(block + ".norm2", v.embed_dim);
    list.linear(block + ".attn.qkv", 3 * v.embed_dim, v.embed_dim, true);
    list.linear(block + ".attn.proj", v.embed_dim, v.embed_dim, true);
    list.linear(block + ".mlp.fc1", v.intermediate_size, v.embed_dim, true);
    list.linear(block + ".mlp.fc2", v.embed_dim, v.intermediate_size, true);
  }
  list.begin(Part::kMerger);
  list.layer_norm("visual.merger.ln_q", v.embed_dim);
  qwen_vl::add_merger_mlp(list, v.patches, v.embed_dim, v.out_hidden_size);
}

}  // namespace vlmr1::qwen2_vl
