#include "models/qwen_vl/positions.h"

#include <algorithm>

#include "models/qwen_vl/rope_tables.h"

namespace vlmr1::qwen_vl {

PromptPositions prompt_positions(const Config& config, const Prompt& prompt) {
  PromptPositions out;
  int32_t next = 0;
  size_t picture = 0;
  const int32_t merge = static_cast<int32_t>(config.patches.merge_size);
  for (size_t i = 0; i < prompt.tokens.size();) {
    if (prompt.tokens[i] != config.image_token_id) {
      for (auto& axis : out.axes) axis.push_back(next);
      ++next;
      ++i;
      continue;
    }
    const auto& grid = prompt.pictures[picture++]->grid;
    const int32_t height = grid[1] / merge;
    const int32_t width = grid[2] / merge;
    for (int32_t t = 0; t < grid[0]; ++t) {
      for (int32_t h = 0; h < height; ++h) {
        for (int32_t w = 0; w < width; ++w) {
          out.axes[0].push_back(next + t);
          out.axes[1].push_back(next + h);
          out.axes[2].push_back(next + w);
        }
      }
    }
    i += static_cast<size_t>(grid[0]) * height * width;
    next += std::max(height, width);
  }
  out.next = next;
  return out;
}

ops::RopeTable text_rope(Backend& backend, const TextConfig& text,
                         const std::array<std::vector<int32_t>, 3>& positions) {
  const int64_t half = text.head_size / 2;
  const std::vector<float> frequency = inverse_frequencies(text.rope_theta, text.head_size);
  std::vector<int> axis(half);
  for (int64_t i = 0; i < half; ++i)
    axis[i] = i < text.mrope_section[0] ? 0 : i < text.mrope_section[0] + text.mrope_section[1] ? 1 : 2;
  const size_t tokens = positions[0].size();
  std::vector<float> angles(tokens * half);
  for (size_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < half; ++i) angles[t * half + i] = static_cast<float>(positions[axis[i]][t]) * frequency[i];
  return upload_angles(backend, angles, half);
}

}  // namespace vlmr1::qwen_vl
