#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd_double.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

float largest(const float* x, int64_t n) {
  constexpr int kGroup = 4;
  const F least = set1(-__builtin_inff());
  // A comparison with NaN is false on every processor.
  const auto larger = [](F a, F b) __attribute__((always_inline)) { return less_select(a, b, b, a); };
  F best[kGroup] = {least, least, least, least};
  int64_t i = 0;
  for (; i + kGroup * W <= n; i += kGroup * W) {
#pragma GCC unroll 4
    for (int j = 0; j < kGroup; ++j) best[j] = larger(best[j], load(x + i + j * W));
  }
  for_lanes(
      n - i, [&](int64_t k, int lanes) __attribute__((always_inline)) {
        best[0] = larger(best[0], first_n(load_lanes(x + i + k, lanes), lanes, least));
      });
  return hmax(larger(larger(best[0], best[1]), larger(best[2], best[3])));
}

double exp_sum(const float* x, int64_t n, float top, float factor, float* weights) {
  const F shift = set1(top);
  const F by = set1(factor);
  return sum_in_double(
      n,
      [&](int64_t i, int lanes) __attribute__((always_inline)) {
        const F v = load_lanes(x + i, lanes);
        F w = exp_unfused(mul(sub(v, shift), by));
        // What is above no number is NaN.
        w = first_n(less_select(set1(-__builtin_inff()), v, w, zero()), lanes, zero());
        if (weights) store_lanes(weights + i, w, lanes);
        return w;
      },
      [](D w) __attribute__((always_inline)) { return w; });
}

}  // namespace vlmr1::cpu::VLMR1_ISA
