#include "models/qwen2_5_vl/positions.h"

#include <algorithm>
#include <cmath>

namespace vlmr1::qwen2_5_vl {

PromptPositions prompt_positions(const Config& config, const Prompt& prompt) {
  PromptPositions out;
  int32_t next = 0;
  size_t picture = 0;
  const int32_t merge = static_cast<int32_t>(config.vision.merge_size);
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
          out.axes[0].push_back(next);  // a still picture has no time
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

namespace {

// 1 / theta^(2i/d) as torch computes it in f32.
std::vector<float> inverse_frequencies(double theta, int64_t d) {
  std::vector<float> out(d / 2);
  for (int64_t i = 0; i < d / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(d);
    out[i] = 1.0f / std::pow(static_cast<float>(theta), exponent);
  }
  return out;
}

ops::RopeTable upload_angles(Backend& backend, const std::vector<float>& angles, int64_t half) {
  std::vector<float> cos(angles.size());
  std::vector<float> sin(angles.size());
  for (size_t i = 0; i < angles.size(); ++i) {
    cos[i] = std::cos(angles[i]);
    sin[i] = std::sin(angles[i]);
  }
  const int64_t rows = static_cast<int64_t>(angles.size()) / half;
  ops::RopeTable table{backend.empty({rows, half}), backend.empty({rows, half})};
  backend.upload(table.cos, cos.data());
  backend.upload(table.sin, sin.data());
  return table;
}

}  // namespace

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

namespace {

// Merged patches of one frame, window by window; edge windows are smaller.
void frame_windows(const VisionConfig& v, int32_t height, int32_t width, int32_t base, std::vector<int32_t>& order,
                   std::vector<int32_t>& window_sizes) {
  const int32_t side = static_cast<int32_t>(v.window_size / v.merge_size / v.patch_size);
  for (int32_t y0 = 0; y0 < height; y0 += side) {
    for (int32_t x0 = 0; x0 < width; x0 += side) {
      const size_t before = order.size();
      for (int32_t y = y0; y < std::min(height, y0 + side); ++y)
        for (int32_t x = x0; x < std::min(width, x0 + side); ++x) order.push_back(base + y * width + x);
      window_sizes.push_back(static_cast<int32_t>(order.size() - before));
    }
  }
}

void push_segment(SegmentTree& tree, int32_t length) {
  tree.segments.push_back({tree.tokens, length, -1, false});
  tree.tokens += length;
}

}  // namespace

VisionLayout vision_layout(const VisionConfig& v, const std::vector<std::shared_ptr<const Picture>>& pictures) {
  VisionLayout layout;
  layout.windows = std::make_shared<SegmentTree>();
  layout.frames = std::make_shared<SegmentTree>();
  const int32_t unit = static_cast<int32_t>(v.merge_size * v.merge_size);
  std::vector<int32_t> order;  // merged patch at each merged place
  std::vector<int32_t> sizes;
  int32_t base = 0;
  for (const auto& picture : pictures) {
    const int32_t height = picture->grid[1] / static_cast<int32_t>(v.merge_size);
    const int32_t width = picture->grid[2] / static_cast<int32_t>(v.merge_size);
    for (int32_t t = 0; t < picture->grid[0]; ++t) {
      frame_windows(v, height, width, base, order, sizes);
      push_segment(*layout.frames, height * width * unit);
      base += height * width;
    }
  }
  for (int32_t size : sizes) push_segment(*layout.windows, size * unit);
  layout.merged_place.resize(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    layout.merged_place[order[place]] = static_cast<int32_t>(place);
    for (int32_t i = 0; i < unit; ++i) layout.patch_order.push_back(order[place] * unit + i);
  }
  return layout;
}

ops::RopeTable vision_rope(Backend& backend, const VisionConfig& v,
                           const std::vector<std::shared_ptr<const Picture>>& pictures, const VisionLayout& layout) {
  const int64_t half = v.head_size() / 2;
  const std::vector<float> frequency = inverse_frequencies(10000.0, half);
  std::vector<std::pair<int32_t, int32_t>> place;  // row and column of every patch, in merge-block order
  const int32_t m = static_cast<int32_t>(v.merge_size);
  for (const auto& picture : pictures) {
    for (int32_t t = 0; t < picture->grid[0]; ++t)
      for (int32_t y = 0; y < picture->grid[1]; y += m)
        for (int32_t x = 0; x < picture->grid[2]; x += m)
          for (int32_t i = 0; i < m; ++i)
            for (int32_t j = 0; j < m; ++j) place.emplace_back(y + i, x + j);
  }
  std::vector<float> angles(place.size() * half);
  for (size_t p = 0; p < place.size(); ++p) {
    const auto [row, column] = place[layout.patch_order[p]];
    for (int64_t i = 0; i < half / 2; ++i) {
      angles[p * half + i] = static_cast<float>(row) * frequency[i];
      angles[p * half + half / 2 + i] = static_cast<float>(column) * frequency[i];
    }
  }
  return upload_angles(backend, angles, half);
}

}  // namespace vlmr1::qwen2_5_vl
