#include "backend/moment_code.h"

#include <bit>
#include <cmath>
#include <limits>

namespace vlmr1 {

namespace {

constexpr int kDecades = 7;

// Magnitudes, ascending; how many.
int make_levels(bool has_sign, float* level) {
  int levels = 0;
  level[levels++] = 0.0f;
  for (int e = 0; e < kDecades; ++e) {
    const int parts = 1 << (has_sign ? e : e + 1);
    for (int i = 0; i < parts; ++i)
      level[levels++] = static_cast<float>(std::pow(10.0, e - kDecades + 1) * (0.1 + 0.9 * (i + 0.5) / parts));
  }
  level[levels++] = 1.0f;
  return levels;
}

MomentCode make_code(bool has_sign) {
  MomentCode code{};
  code.has_sign = has_sign;
  float level[256]{};
  const int levels = make_levels(has_sign, level);
  for (int byte = 0; byte < 256; ++byte) {
    const int k = has_sign ? byte - 127 : byte;
    code.value[byte] = k < 0 ? -level[-k] : level[k];
  }
  int k = has_sign ? 0 : 1;  // of a second moment 0 is no neighbour
  for (uint32_t cell = 0; cell < MomentCode::kCells; ++cell) {
    // A magnitude above it is nearer to level k + 1.
    const auto border = [&] {
      return k + 1 < levels ? (level[k] + level[k + 1]) * 0.5f : std::numeric_limits<float>::infinity();
    };
    const uint32_t upper = MomentCode::kFirstCell + cell;
    const float least = cell == 0 ? 0.0f : std::bit_cast<float>(upper << 16);
    while (least > border()) ++k;
    const auto bits = std::bit_cast<uint32_t>(border());
    const uint32_t lower = bits >> 16 == upper ? bits & 0xffffu : 0xffffu;
    code.cell[cell] = (static_cast<uint32_t>(k) << 16) + 0xffffu - lower;
  }
  return code;
}

}  // namespace

const MomentCode& first_moment_code() {
  static const MomentCode code = make_code(true);
  return code;
}

const MomentCode& second_moment_code() {
  static const MomentCode code = make_code(false);
  return code;
}

}  // namespace vlmr1
