// Rotary angles, computed on the host as torch computes them in f32.
#pragma once

#include <vector>

#include "ops/rope.h"

namespace vlmr1::qwen_vl {

// 1 / theta^(2i/d), [d / 2].
std::vector<float> inverse_frequencies(double theta, int64_t d);
// cos and sin of angles [rows, half].
ops::RopeTable upload_angles(Backend& backend, const std::vector<float>& angles, int64_t half);

}  // namespace vlmr1::qwen_vl
