// config.json of a Qwen2.5-VL checkpoint, as transformers 4 (flat) and 5 (nested text_config) write it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "io/json.h"
#include "models/model.h"
#include "nn/parameters.h"

namespace vlmr1::qwen2_5_vl {

struct VisionConfig {
  int64_t depth, hidden_size, heads, intermediate_size, out_hidden_size;
  int64_t in_channels, patch_size, temporal_patch_size, merge_size, window_size;
  std::vector<int64_t> full_attention_blocks;
  int64_t head_size() const { return hidden_size / heads; }
  int64_t patch_elements() const { return in_channels * temporal_patch_size * patch_size * patch_size; }
  bool is_full(int64_t block) const;
};

struct TextConfig {
  int64_t vocab_size, hidden_size, layers, heads, kv_heads, head_size, intermediate_size, max_positions;
  double rms_eps, rope_theta;
  std::array<int64_t, 3> mrope_section;
  bool tied;
};

struct Config {
  std::string model_type;
  TextConfig text;
  VisionConfig vision;
  int32_t image_token_id, video_token_id, vision_start_token_id;
  double initializer_range;
};

// Throws ERR_CONFIG naming the field.
Config parse_config(const Json& json);

// Without what depends on training.
ModelInfo model_info(const Config& config);

// Every parameter with its published name and shape.
std::vector<ParameterSpec> parameter_specs(const Config& config);

}  // namespace vlmr1::qwen2_5_vl
