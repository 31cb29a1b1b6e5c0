// Position ids, window order and rotary angles: everything of Qwen2.5-VL that depends on grids and not on weights.
#pragma once

#include <memory>
#include <vector>

#include "core/segments.h"
#include "models/model.h"
#include "models/qwen2_5_vl/config.h"
#include "ops/rope.h"

namespace vlmr1::qwen2_5_vl {

// 3-axis M-RoPE: text counts on all axes; a picture spans its merged grid from where the text before it ended; what
// follows goes on one after the largest position so far.
PromptPositions prompt_positions(const Config& config, const Prompt& prompt);

// cos and sin [T, D/2] of the decoder, the frequencies dealt to the axes in contiguous sections.
ops::RopeTable text_rope(Backend& backend, const TextConfig& text,
                         const std::array<std::vector<int32_t>, 3>& positions);

// How the patches of a batch of pictures are laid out for the vision tower: window by window.
struct VisionLayout {
  std::vector<int32_t> patch_order;   // [P] patch at each place
  std::vector<int32_t> merged_place;  // [P / merge²] place of each merged patch, in picture order
  std::shared_ptr<SegmentTree> windows;
  std::shared_ptr<SegmentTree> frames;  // a segment per picture and time step
};
VisionLayout vision_layout(const VisionConfig& vision, const std::vector<std::shared_ptr<const Picture>>& pictures);

// cos and sin [P, D/2] for patches in the layout's order: half of the angles from the row, half from the column.
ops::RopeTable vision_rope(Backend& backend, const VisionConfig& vision,
                           const std::vector<std::shared_ptr<const Picture>>& pictures, const VisionLayout& layout);

}  // namespace vlmr1::qwen2_5_vl
