#include "models/qwen2_5_vl/config.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "models/qwen_vl/fields.h"

namespace vlmr1::qwen2_5_vl {

namespace {
using qwen_vl::positive_or;

// What transformers 4 writes leaves out what is as in its class, so all fields have a default.
constexpr int64_t kDepth = 32;
constexpr int64_t kHiddenSize = 3584;
constexpr int64_t kIntermediateSize = 3420;
constexpr int64_t kHeads = 16;
constexpr int64_t kWindowSize = 112;
}  // namespace

bool VisionConfig::is_full(int64_t block) const {
  return std::find(full_attention_blocks.begin(), full_attention_blocks.end(), block) != full_attention_blocks.end();
}

VisionConfig parse_vision(const Json& json, const qwen_vl::Config& config) {
  const std::string where = "vision_config.";
  VisionConfig v{};
  v.patches = config.patches;
  v.depth = positive_or(json, where, "depth", qwen_vl::kMostLayers, kDepth);
  v.hidden_size = positive_or(json, where, "hidden_size", qwen_vl::kMostWidth, kHiddenSize);
  v.heads = positive_or(json, where, "num_heads", qwen_vl::kMostWidth, kHeads);
  qwen_vl::check_tower_heads(v.hidden_size, v.heads);
  v.intermediate_size = positive_or(json, where, "intermediate_size", qwen_vl::kMostWidth, kIntermediateSize);
  v.out_hidden_size = qwen_vl::parse_tower_output(json, "out_hidden_size", config.text);
  v.window_size = positive_or(json, where, "window_size", qwen_vl::kMostWidth, kWindowSize);
  check(v.window_size >= v.patches.patch_size * v.patches.merge_size, ErrorCode::kConfig,
        "config.json: vision_config.window_size: expected at least a merged patch of ",
        v.patches.patch_size * v.patches.merge_size, " pixels, got ", v.window_size);
  v.full_attention_blocks = {7, 15, 23, 31};
  const Json* full = json.find("fullatt_block_indexes");
  if (full && !full->is_null()) {
    v.full_attention_blocks.clear();
    for (const Json& index : full->as_array()) v.full_attention_blocks.push_back(index.as_int());
  }
  const std::string act = json.string_or("hidden_act", "silu");
  check(act == "silu", ErrorCode::kConfig, "config.json: vision_config.hidden_act: expected silu, got ", act);
  return v;
}

void add_tower(qwen_vl::SpecList& list, const VisionConfig& v) {
  list.begin(Part::kVision);
  qwen_vl::add_patch_embedding(list, v.patches, v.hidden_size);
  for (int64_t i = 0; i < v.depth; ++i) {
    const std::string block = "visual.blocks." + std::to_string(i);
    list.add(block + ".norm1.weight", {v.hidden_size});
    list.add(block + ".norm2.weight", {v.hidden_size});
    list.linear(block + ".attn.qkv", 3 * v.hidden_size, v.hidden_size, true);
    list.linear(block + ".attn.proj", v.hidden_size, v.hidden_size, true);
    list.swiglu_mlp(block + ".mlp", v.hidden_size, v.intermediate_size, true);
  }
  list.begin(Part::kMerger);
  list.add("visual.merger.ln_q.weight", {v.hidden_size});
  qwen_vl::add_merger_mlp(list, v.patches, v.hidden_size, v.out_hidden_size);
}

}  // namespace vlmr1::qwen2_5_vl
