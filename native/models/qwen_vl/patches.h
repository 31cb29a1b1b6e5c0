// Patches of a batch of pictures on their way into a vision tower: everything that depends on grids and not on weights.
#pragma once

#include <memory>
#include <vector>

#include "core/segments.h"
#include "models/inputs.h"
#include "models/qwen_vl/config.h"
#include "ops/rope.h"

namespace vlmr1::qwen_vl {

using Pictures = std::vector<std::shared_ptr<const Picture>>;

// Patches of pictures one after the other, as they come from the processor: blocks of merge² that become one token.
std::vector<int32_t> picture_order(const Pictures& pictures);

// Appends a segment of tokens that all see each other.
void add_block(SegmentTree& tree, int32_t length);
// A segment per picture and time step, which is as far as full attention reaches.
std::shared_ptr<SegmentTree> frame_tree(const Pictures& pictures);

// The rows below come in `order`: the patch at each place.
// Pixels [P, patch elements].
Tensor upload_patches(Backend& backend, const PatchConfig& config, const Pictures& pictures,
                      const std::vector<int32_t>& order);
// cos and sin [P, D/2]: half of the angles from the patch's row, half from its column.
ops::RopeTable patch_rope(Backend& backend, const PatchConfig& config, int64_t head_size, const Pictures& pictures,
                          const std::vector<int32_t>& order);

}  // namespace vlmr1::qwen_vl
