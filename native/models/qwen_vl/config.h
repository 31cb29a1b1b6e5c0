// What the config.json of all Qwen-VL checkpoints has in common, as transformers 4 (flat) and 5 (nested text_config)
// write it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "io/json.h"
#include "models/model.h"

namespace vlmr1::qwen_vl {

struct TextConfig {
  int64_t vocab_size, hidden_size, layers, heads, kv_heads, head_size, intermediate_size, max_positions;
  double rms_eps, rope_theta;
  std::array<int64_t, 3> mrope_section;
  bool tied;
};

// How pictures are cut, and what a tower is told about it.
struct PatchConfig {
  int64_t in_channels, patch_size, temporal_patch_size, merge_size;
  double rope_theta;
  int64_t elements() const { return in_channels * temporal_patch_size * patch_size * patch_size; }
  int64_t merged() const { return merge_size * merge_size; }  // patches of a token
};

struct Config {
  std::string model_type;
  TextConfig text;
  PatchConfig patches;
  int32_t image_token_id, video_token_id;
};

// Throws ERR_CONFIG naming the field.
Config parse_config(const Json& json);

// Of a vision tower: heads of a size that axial rotation can take. Throws ERR_CONFIG.
void check_tower_heads(int64_t size, int64_t heads);

// The field of vision_config that says what the tower hands on. Throws ERR_CONFIG where the text takes something else.
int64_t parse_tower_output(const Json& vision, const char* key, const TextConfig& text);

// Without what depends on weights and training.
ModelInfo model_info(const Config& config);

}  // namespace vlmr1::qwen_vl
