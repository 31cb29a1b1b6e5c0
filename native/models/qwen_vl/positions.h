// Position ids of prompts and the decoder's rotary angles.
#pragma once

#include <array>
#include <vector>

#include "models/model.h"
#include "models/qwen_vl/config.h"
#include "ops/rope.h"

namespace vlmr1::qwen_vl {

// 3-axis M-RoPE: text counts on all axes; a picture spans its frames and merged grid from where the text before it
// ended; what follows goes on after the longer side of that grid.
PromptPositions prompt_positions(const Config& config, const Prompt& prompt);

// cos and sin [T, D/2] of the decoder, the frequencies dealt to the axes in contiguous sections.
ops::RopeTable text_rope(Backend& backend, const TextConfig& text,
                         const std::array<std::vector<int32_t>, 3>& positions);

}  // namespace vlmr1::qwen_vl
