#include "backend/moment_code.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace vlmr1 {

namespace {

constexpr int kDecades = 7;

MomentCode make_code(bool has_sign) {
  MomentCode code{};
  code.has_sign = has_sign;
  int levels = 0;
  code.level[levels++] = 0.0f;
  for (int e = 0; e < kDecades; ++e) {
    const int parts = 1 << (has_sign ? e : e + 1);
    for (int i = 0; i < parts; ++i)
      code.level[levels++] = static_cast<float>(std::pow(10.0, e - kDecades + 1) * (0.1 + 0.9 * (i + 0.5) / parts));
  }
  code.level[levels++] = 1.0f;
  for (int k = 0; k < 256; ++k) code.above[k] = std::numeric_limits<float>::infinity();
  for (int k = 0; k + 1 < levels; ++k) code.above[k] = (code.level[k] + code.level[k + 1]) * 0.5f;
  if (!has_sign) code.above[0] = 0.0f;
  for (int byte = 0; byte < 256; ++byte) {
    const int k = has_sign ? byte - 127 : byte;
    code.value[byte] = k < 0 ? -code.level[-k] : code.level[k];
  }
  int k = 0;
  for (uint32_t cell = 0; cell < MomentCode::kCells; ++cell) {
    const uint32_t bits = cell == 0 ? 0 : (MomentCode::kFirstCell + cell) << 16;
    float least;
    std::memcpy(&least, &bits, sizeof(least));
    while (least > code.above[k]) ++k;
    code.first[cell] = k;
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
