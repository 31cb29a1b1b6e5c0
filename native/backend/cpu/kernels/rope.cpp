#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

void rope(const float* x, const float* cos, const float* sin, float* y, int64_t rows, int64_t heads, int64_t head_size,
          bool inverse) {
  const int64_t half = head_size / 2;
  const F sign = set1(inverse ? -1.0f : 1.0f);
  for (int64_t t = 0; t < rows; ++t, cos += half, sin += half) {
    for (int64_t h = 0; h < heads; ++h, x += head_size, y += head_size) {
      for_lanes(half, [&](int64_t i, int n) {
        const F a = load_lanes(x + i, n);
        const F b = load_lanes(x + half + i, n);
        const F c = load_lanes(cos + i, n);
        const F s = mul(sign, load_lanes(sin + i, n));
        store_lanes(y + i, sub(mul(a, c), mul(b, s)), n);
        store_lanes(y + half + i, fma(b, c, mul(a, s)), n);
      });
    }
  }
}

}  // namespace vlmr1::cpu::VLMR1_ISA
