// What the attention kernels need of an instruction set beside simd_bf16.h: sums across rows, a short exp.
#pragma once

#include "backend/cpu/kernels/simd_bf16.h"

namespace vlmr1::cpu::VLMR1_ISA {

VLMR1_INLINE void transpose(F (&r)[W]) {
  Pairs columns[W];
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) columns[i] = as_pairs(r[i]);
  transpose(columns);
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) r[i] = as_floats(columns[i]);
}

// to_pairs, in two instructions where there are some (which take numbers below 2⁻¹²⁶ for 0, as products of pairs do).
VLMR1_INLINE Pairs interleave(F even, F odd) {
#if defined(__AVX512BF16__)
  const __m512i order =
      _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008,
                        0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
  return _mm512_permutexvar_epi16(order, narrow(even, odd));
#else
  return to_pairs(even, odd);
#endif
}

// Lane i: the lanes of vector i together, the far half onto the near one again and again, as sum() goes.
template <typename Op>
VLMR1_INLINE F across(F (&r)[W], const Op& op) {
  transpose(r);
#pragma GCC unroll 4
  for (int half = W / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) r[i] = op(r[i], r[i + half]);
  }
  return r[0];
}

// exp for x up to a few units above 0: the same bits, without the guards against overflow.
VLMR1_INLINE F exp_small(F x) {
  const F low = set1(kLeastExponent);
  const F clamped = max(low, x);
  const F n = round(mul(clamped, set1(1.44269504f)));
  const F p = exp_rest(clamped, n, kFused);
#if defined(__AVX512F__)
  return less_select(x, low, zero(), _mm512_scalef_ps(p, n));
#else
  return less_select(x, low, zero(), mul(p, pow2(n)));
#endif
}

}  // namespace vlmr1::cpu::VLMR1_ISA
