// Eight bits for a moment of AdamW: numbers in [-1, 1] as levels that lie denser towards 0, times a scale per block.
//
// The levels are those of a dynamic tree code with seven exponent bits (Dettmers et al., 8-bit Optimizers via
// Block-wise Quantization, 2021, as bitsandbytes builds it): decade e = 0 … 6 holds 2ᵉ (signed) or 2ᵉ⁺¹ (unsigned)
// numbers, 10ᵉ⁻⁶ times the middles of equal parts of [0.1, 1]; 0 and 1 come beside them.
#pragma once

#include <cstdint>

namespace vlmr1 {

// Elements that share a scale, the largest magnitude among them.
constexpr int64_t kMomentBlock = 256;
// Moments of parameters with fewer elements stay f32.
constexpr int64_t kLeastCodedElements = 4096;

// Of a first moment, whose levels have either sign (1 itself is positive only), or of a second one, 0 or above.
struct MomentCode {
  // Numbers whose upper 16 bits are the same are one cell; they are those from 2⁻²⁴ on, and all below.
  static constexpr uint32_t kFirstCell = 0x3380;
  static constexpr uint32_t kCells = 0x3f80 - kFirstCell + 1;

  bool has_sign;
  // Of a byte, ascending: byte 127 + k is the magnitude of level k and 127 − k its negative, or byte k is.
  float value[256];
  // The level of a cell's least number, times 2¹⁶, and what the lower 16 bits of a number in the cell must exceed for
  // the next level, subtracted from 2¹⁶ − 1: where these bits are added there is a carry. No cell holds two borders. Of
  // second moments the first cell holds all of level 1, and 0 besides.
  uint32_t cell[kCells];
};

// A second moment above 0 never becomes 0, in which this differs from bitsandbytes: its root divides, and where it is 0
// beside a first moment that is not, a step is many times too large. Least squares with curvatures over four decades
// end at a loss of 57 so, and at 0.022 with this rule (0.023 in f32).
const MomentCode& first_moment_code();
const MomentCode& second_moment_code();

}  // namespace vlmr1
