// Sums in double of float vectors, with the same bits whatever the width of the vectors: element i of an array belongs
// to the running sum i mod 16.
#pragma once

#include "backend/cpu/kernels/simd.h"

namespace vlmr1::cpu::VLMR1_ISA {

#if defined(__AVX512F__)

using D = __m512d;
VLMR1_INLINE D zero_double() { return _mm512_setzero_pd(); }
VLMR1_INLINE D low_double(F a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
VLMR1_INLINE D high_double(F a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
VLMR1_INLINE D add_double(D a, D b) { return _mm512_add_pd(a, b); }
VLMR1_INLINE D square_double(D a) { return _mm512_mul_pd(a, a); }
VLMR1_INLINE void store_double(double* p, D a) { _mm512_storeu_pd(p, a); }

#elif defined(__AVX2__)

using D = __m256d;
VLMR1_INLINE D zero_double() { return _mm256_setzero_pd(); }
VLMR1_INLINE D low_double(F a) { return _mm256_cvtps_pd(_mm256_castps256_ps128(a)); }
VLMR1_INLINE D high_double(F a) { return _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)); }
VLMR1_INLINE D add_double(D a, D b) { return _mm256_add_pd(a, b); }
VLMR1_INLINE D square_double(D a) { return _mm256_mul_pd(a, a); }
VLMR1_INLINE void store_double(double* p, D a) { _mm256_storeu_pd(p, a); }

#elif defined(__SSE2__)

using D = __m128d;
VLMR1_INLINE D zero_double() { return _mm_setzero_pd(); }
VLMR1_INLINE D low_double(F a) { return _mm_cvtps_pd(a); }
VLMR1_INLINE D high_double(F a) { return _mm_cvtps_pd(_mm_movehl_ps(a, a)); }
VLMR1_INLINE D add_double(D a, D b) { return _mm_add_pd(a, b); }
VLMR1_INLINE D square_double(D a) { return _mm_mul_pd(a, a); }
VLMR1_INLINE void store_double(double* p, D a) { _mm_storeu_pd(p, a); }

#elif defined(__ARM_NEON)

using D = float64x2_t;
VLMR1_INLINE D zero_double() { return vdupq_n_f64(0.0); }
VLMR1_INLINE D low_double(F a) { return vcvt_f64_f32(vget_low_f32(a)); }
VLMR1_INLINE D high_double(F a) { return vcvt_high_f64_f32(a); }
VLMR1_INLINE D add_double(D a, D b) { return vaddq_f64(a, b); }
VLMR1_INLINE D square_double(D a) { return vmulq_f64(a, a); }
VLMR1_INLINE void store_double(double* p, D a) { vst1q_f64(p, a); }

#endif

// Sixteen running sums. `term(offset, lanes)` gives the floats from `offset` on, those past the end 0; `widened` is
// applied to each of them as a double, where it must be exact.
template <typename Term, typename Widened>
VLMR1_INLINE double sum_in_double(int64_t n, const Term& term, const Widened& widened) {
  constexpr int kSums = 16;
  constexpr int kVectors = kSums / W;
  D sums[2 * kVectors];
#pragma GCC unroll 8
  for (D& s : sums) s = zero_double();
  const auto take = [&](int64_t i, int j, int lanes) __attribute__((always_inline)) {
    const F x = term(i, lanes);
    sums[2 * j] = add_double(sums[2 * j], widened(low_double(x)));
    sums[2 * j + 1] = add_double(sums[2 * j + 1], widened(high_double(x)));
  };
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) take(i + j * W, j, W);
  }
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j, i += W)
    if (i < n) take(i, j, n - i < W ? static_cast<int>(n - i) : W);
  double lanes[kSums];
#pragma GCC unroll 8
  for (int j = 0; j < 2 * kVectors; ++j) store_double(lanes + j * (W / 2), sums[j]);
  double total = 0.0;
  for (double lane : lanes) total += lane;
  return total;
}

}  // namespace vlmr1::cpu::VLMR1_ISA
