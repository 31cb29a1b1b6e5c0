// vision_config of a Qwen2-VL checkpoint.
#pragma once

#include <cstdint>

#include "backend/gelu_kind.h"
#include "io/json.h"
#include "models/qwen_vl/config.h"
#include "models/qwen_vl/specs.h"

namespace vlmr1::qwen2_vl {

struct VisionConfig {
  qwen_vl::PatchConfig patches;
  int64_t depth, embed_dim, heads, intermediate_size, out_hidden_size;
  GeluKind activation;
  int64_t head_size() const { return embed_dim / heads; }
};

// Throws ERR_CONFIG naming the field.
VisionConfig parse_vision(const Json& vision_config, const qwen_vl::Config& config);

void add_tower(qwen_vl::SpecList& list, const VisionConfig& vision);

}  // namespace vlmr1::qwen2_vl
