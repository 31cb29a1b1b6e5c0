// The order of patches that puts each attention window in one place.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "models/qwen2_5_vl/config.h"
#include "models/qwen_vl/patches.h"

namespace vlmr1::qwen2_5_vl {

struct WindowLayout {
  std::vector<int32_t> patch_order;   // [P] patch at each place
  std::vector<int32_t> merged_place;  // [P / merge²] place of each merged patch, in picture order
  std::shared_ptr<SegmentTree> tree;  // a segment per window
};
WindowLayout window_layout(const VisionConfig& vision, const qwen_vl::Pictures& pictures);

}  // namespace vlmr1::qwen2_5_vl
