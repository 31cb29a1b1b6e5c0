// The heart of every product: a register tile that adds a · b, one chain of multiply-adds over ascending k for each
// element, so that results depend neither on the tile nor on how the caller cuts the work.
#pragma once

#include "backend/cpu/kernels/simd_bf16.h"

namespace vlmr1::cpu::VLMR1_ISA {

VLMR1_INLINE F set1_left(const float* p) { return set1(*p); }
VLMR1_INLINE Pairs set1_left(const uint32_t* p) { return set1_pairs(*p); }
VLMR1_INLINE F load_right(const float* p) { return load(p); }
VLMR1_INLINE Pairs load_right(const uint32_t* p) { return load_pairs(p); }
VLMR1_INLINE F multiply_add(F a, F b, F c) { return fma(a, b, c); }
VLMR1_INLINE F multiply_add(Pairs a, Pairs b, F c) { return dot_pairs(c, a, b); }

// Does nothing between the steps of a tile.
struct NoFetch {
  __attribute__((always_inline)) void operator()() {}
};

// acc [MR][NV vectors] += a · b over k steps. T: float, or uint32_t for pairs of bf16, two of k in a step; fetch() is
// called before each. a(m, k) = a[m · a_row + k · a_step], b(k, ·) = b[k · b_step …]: whole vectors are read.
template <int MR, int NV, typename T, typename Fetch = NoFetch>
VLMR1_INLINE void multiply(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step, int64_t k,
                           F (&acc)[MR][NV], Fetch fetch = {}) {
  for (; k > 0; --k, a += a_step, b += b_step) {
    fetch();
    decltype(load_right(b)) bv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) bv[j] = load_right(b + j * W);
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
      const auto av = set1_left(a + i * a_row);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] = multiply_add(av, bv[j], acc[i][j]);
    }
  }
}

}  // namespace vlmr1::cpu::VLMR1_ISA
