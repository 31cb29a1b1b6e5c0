// vision_config of a Qwen2.5-VL checkpoint.
#pragma once

#include <cstdint>
#include <vector>

#include "io/json.h"
#include "models/qwen_vl/config.h"
#include "models/qwen_vl/specs.h"

namespace vlmr1::qwen2_5_vl {

struct VisionConfig {
  qwen_vl::PatchConfig patches;
  int64_t depth, hidden_size, heads, intermediate_size, out_hidden_size;
  int64_t window_size;  // side of an attention window, in pixels
  std::vector<int64_t> full_attention_blocks;
  int64_t head_size() const { return hidden_size / heads; }
  bool is_full(int64_t block) const;
};

// Throws ERR_CONFIG naming the field.
VisionConfig parse_vision(const Json& vision_config, const qwen_vl::Config& config);

void add_tower(qwen_vl::SpecList& list, const VisionConfig& vision);

}  // namespace vlmr1::qwen2_5_vl
