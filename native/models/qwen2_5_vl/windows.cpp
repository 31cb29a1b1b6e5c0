#include "models/qwen2_5_vl/windows.h"

#include <algorithm>

namespace vlmr1::qwen2_5_vl {

namespace {

// Merged patches of one frame, window by window; edge windows are smaller.
void frame_windows(int32_t side, int32_t height, int32_t width, int32_t base, std::vector<int32_t>& order,
                   std::vector<int32_t>& window_sizes) {
  for (int32_t y0 = 0; y0 < height; y0 += side) {
    for (int32_t x0 = 0; x0 < width; x0 += side) {
      const size_t before = order.size();
      for (int32_t y = y0; y < std::min(height, y0 + side); ++y)
        for (int32_t x = x0; x < std::min(width, x0 + side); ++x) order.push_back(base + y * width + x);
      window_sizes.push_back(static_cast<int32_t>(order.size() - before));
    }
  }
}

}  // namespace

WindowLayout window_layout(const VisionConfig& v, const qwen_vl::Pictures& pictures) {
  const int32_t merge = static_cast<int32_t>(v.patches.merge_size);
  const int32_t unit = static_cast<int32_t>(v.patches.merged());
  const int32_t side = static_cast<int32_t>(v.window_size / v.patches.merge_size / v.patches.patch_size);
  std::vector<int32_t> order;  // merged patch at each merged place
  std::vector<int32_t> sizes;
  int32_t base = 0;
  for (const auto& picture : pictures) {
    const int32_t height = picture->grid[1] / merge;
    const int32_t width = picture->grid[2] / merge;
    for (int32_t t = 0; t < picture->grid[0]; ++t, base += height * width)
      frame_windows(side, height, width, base, order, sizes);
  }
  WindowLayout layout;
  layout.tree = std::make_shared<SegmentTree>();
  for (int32_t size : sizes) qwen_vl::add_block(*layout.tree, size * unit);
  layout.merged_place.resize(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    layout.merged_place[order[place]] = static_cast<int32_t>(place);
    for (int32_t i = 0; i < unit; ++i) layout.patch_order.push_back(order[place] * unit + i);
  }
  return layout;
}

}  // namespace vlmr1::qwen2_5_vl
