// One vector type per instruction set. Everything is forced inline: no symbol of these leaves its object file.
#pragma once

#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
// GCC's AVX-512 headers pass undefined vectors on purpose and then warn about them.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#ifndef VLMR1_ISA
#error "compile with -DVLMR1_ISA=<name>"
#endif

#define VLMR1_INLINE static inline __attribute__((always_inline))

namespace vlmr1::cpu::VLMR1_ISA {

#if defined(__AVX512F__)

using F = __m512;
constexpr int W = 16;
constexpr int kTileRows = 14;
VLMR1_INLINE F set1(float x) { return _mm512_set1_ps(x); }
VLMR1_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
VLMR1_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x); }
VLMR1_INLINE F load_bf16(const uint16_t* p) {
  const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}
VLMR1_INLINE F load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p); }
VLMR1_INLINE void store_n(float* p, F x, int n) { _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x); }
VLMR1_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
VLMR1_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
VLMR1_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
VLMR1_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
VLMR1_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
VLMR1_INLINE F sqrt(F a) { return _mm512_sqrt_ps(a); }
// The second operand where either is NaN, as on all x86 sets.
VLMR1_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
VLMR1_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
VLMR1_INLINE F round(F a) { return _mm512_roundscale_ps(a, 8); }
VLMR1_INLINE F pow2(F n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}
VLMR1_INLINE F less_select(F a, F b, F yes, F no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
VLMR1_INLINE F first_n(F a, int n, F other) {
  return _mm512_mask_blend_ps(static_cast<__mmask16>((1u << n) - 1), other, a);
}
VLMR1_INLINE float sum(F a) { return _mm512_reduce_add_ps(a); }
VLMR1_INLINE float hmax(F a) { return _mm512_reduce_max_ps(a); }

#elif defined(__AVX2__)

using F = __m256;
constexpr int W = 8;
constexpr int kTileRows = 6;
VLMR1_INLINE __m256i lane_mask(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VLMR1_INLINE F set1(float x) { return _mm256_set1_ps(x); }
VLMR1_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
VLMR1_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x); }
VLMR1_INLINE F load_bf16(const uint16_t* p) {
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}
VLMR1_INLINE F load_n(const float* p, int n) { return _mm256_maskload_ps(p, lane_mask(n)); }
VLMR1_INLINE void store_n(float* p, F x, int n) { _mm256_maskstore_ps(p, lane_mask(n), x); }
VLMR1_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
VLMR1_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
VLMR1_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
VLMR1_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
VLMR1_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
VLMR1_INLINE F sqrt(F a) { return _mm256_sqrt_ps(a); }
VLMR1_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
VLMR1_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
VLMR1_INLINE F round(F a) { return _mm256_round_ps(a, 8); }
VLMR1_INLINE F pow2(F n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
VLMR1_INLINE F less_select(F a, F b, F yes, F no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
VLMR1_INLINE F first_n(F a, int n, F other) { return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(lane_mask(n))); }
VLMR1_INLINE float sum4(__m128 a) {
  a = _mm_add_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps(a, a, 1)));
}
VLMR1_INLINE float sum(F a) { return sum4(_mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1))); }
VLMR1_INLINE float hmax(F a) {
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
}

#elif defined(__SSE2__)

// No fused multiply-add here: product and sum are rounded apart, in the same order everywhere.
using F = __m128;
constexpr int W = 4;
constexpr int kTileRows = 6;
VLMR1_INLINE F set1(float x) { return _mm_set1_ps(x); }
VLMR1_INLINE F load(const float* p) { return _mm_loadu_ps(p); }
VLMR1_INLINE void store(float* p, F x) { _mm_storeu_ps(p, x); }
VLMR1_INLINE F load_bf16(const uint16_t* p) {
  const __m128i narrow = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), narrow));
}
VLMR1_INLINE F load_n(const float* p, int n) {
  float t[4] = {0, 0, 0, 0};
  for (int i = 0; i < n; ++i) t[i] = p[i];
  return _mm_loadu_ps(t);
}
VLMR1_INLINE void store_n(float* p, F x, int n) {
  float t[4];
  _mm_storeu_ps(t, x);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}
VLMR1_INLINE F add(F a, F b) { return _mm_add_ps(a, b); }
VLMR1_INLINE F sub(F a, F b) { return _mm_sub_ps(a, b); }
VLMR1_INLINE F mul(F a, F b) { return _mm_mul_ps(a, b); }
VLMR1_INLINE F fma(F a, F b, F c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
VLMR1_INLINE F div(F a, F b) { return _mm_div_ps(a, b); }
VLMR1_INLINE F sqrt(F a) { return _mm_sqrt_ps(a); }
VLMR1_INLINE F max(F a, F b) { return _mm_max_ps(a, b); }
VLMR1_INLINE F min(F a, F b) { return _mm_min_ps(a, b); }
VLMR1_INLINE F round(F a) { return _mm_cvtepi32_ps(_mm_cvtps_epi32(a)); }
VLMR1_INLINE F pow2(F n) {
  return _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127)), 23));
}
VLMR1_INLINE F less_select(F a, F b, F yes, F no) {
  const F m = _mm_cmplt_ps(a, b);
  return _mm_or_ps(_mm_and_ps(m, yes), _mm_andnot_ps(m, no));
}
VLMR1_INLINE F first_n(F a, int n, F other) {
  const F m = _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(n), _mm_setr_epi32(0, 1, 2, 3)));
  return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, other));
}
VLMR1_INLINE float sum(F a) {
  a = _mm_add_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps(a, a, 1)));
}
VLMR1_INLINE float hmax(F a) {
  a = _mm_max_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_max_ss(a, _mm_shuffle_ps(a, a, 1)));
}

#elif defined(__ARM_NEON)

using F = float32x4_t;
constexpr int W = 4;
constexpr int kTileRows = 8;
VLMR1_INLINE F set1(float x) { return vdupq_n_f32(x); }
VLMR1_INLINE F load(const float* p) { return vld1q_f32(p); }
VLMR1_INLINE void store(float* p, F x) { vst1q_f32(p, x); }
VLMR1_INLINE F load_bf16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
VLMR1_INLINE F load_n(const float* p, int n) {
  float t[4] = {0, 0, 0, 0};
  for (int i = 0; i < n; ++i) t[i] = p[i];
  return vld1q_f32(t);
}
VLMR1_INLINE void store_n(float* p, F x, int n) {
  float t[4];
  vst1q_f32(t, x);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}
VLMR1_INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
VLMR1_INLINE F add(F a, F b) { return vaddq_f32(a, b); }
VLMR1_INLINE F sub(F a, F b) { return vsubq_f32(a, b); }
VLMR1_INLINE F mul(F a, F b) { return vmulq_f32(a, b); }
VLMR1_INLINE F div(F a, F b) { return vdivq_f32(a, b); }
VLMR1_INLINE F sqrt(F a) { return vsqrtq_f32(a); }
VLMR1_INLINE F max(F a, F b) { return vmaxq_f32(a, b); }
VLMR1_INLINE F min(F a, F b) { return vminq_f32(a, b); }
VLMR1_INLINE F round(F a) { return vrndnq_f32(a); }
VLMR1_INLINE F pow2(F n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
VLMR1_INLINE F less_select(F a, F b, F yes, F no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
VLMR1_INLINE F first_n(F a, int n, F other) {
  const int32_t lanes[4] = {0, 1, 2, 3};
  return vbslq_f32(vcltq_s32(vld1q_s32(lanes), vdupq_n_s32(n)), a, other);
}
VLMR1_INLINE float sum(F a) { return vaddvq_f32(a); }
VLMR1_INLINE float hmax(F a) { return vmaxvq_f32(a); }

#else
#error "no vector instructions for this processor: add them in simd.h"
#endif

constexpr int kPanelVectors = 2;
constexpr int kPanelWidth = kPanelVectors * W;

VLMR1_INLINE F zero() { return set1(0.0f); }

// eˣ / 2ⁿ, where n is the whole number next to x / ln 2.
template <typename MultiplyAdd>
VLMR1_INLINE F exp_rest(F x, F n, const MultiplyAdd& multiply_add) {
  F r = multiply_add(n, set1(-0.693359375f), x);
  r = multiply_add(n, set1(2.12194440e-4f), r);
  F p = set1(1.0f / 5040.0f);
  p = multiply_add(p, r, set1(1.0f / 720.0f));
  p = multiply_add(p, r, set1(1.0f / 120.0f));
  p = multiply_add(p, r, set1(1.0f / 24.0f));
  p = multiply_add(p, r, set1(1.0f / 6.0f));
  p = multiply_add(p, r, set1(0.5f));
  p = multiply_add(p, r, set1(1.0f));
  return multiply_add(p, r, set1(1.0f));
}

constexpr auto kFused = [](F a, F b, F c) __attribute__((always_inline)) { return fma(a, b, c); };
constexpr float kLeastExponent = -87.33654f;

// eˣ to about 1 ulp; 0 below the smallest normal number; NaN stays NaN. `multiply_add` says how a · b + c is rounded.
template <typename MultiplyAdd>
VLMR1_INLINE F exp_by(F x, const MultiplyAdd& multiply_add) {
  const F low = set1(kLeastExponent);
  const F clamped = min(set1(88.72283f), max(low, x));
  const F n = min(round(mul(clamped, set1(1.44269504f))), set1(127.0f));
  return less_select(x, low, zero(), mul(exp_rest(clamped, n, multiply_add), pow2(n)));
}

VLMR1_INLINE F exp(F x) { return exp_by(x, kFused); }

// The same bits on every processor, whether it fuses or not; 2 ulp.
VLMR1_INLINE F exp_unfused(F x) {
  return exp_by(
      x, [](F a, F b, F c) __attribute__((always_inline)) { return add(mul(a, b), c); });
}

// The standard normal distribution function Φ(x) = (1 + erf(x / √2)) / 2, to 1e-7; NaN stays NaN. With t = |x| / √2,
// small t: erf(t) = t + t · P(t²); else 1 − erf(t) = e^Q(t).
VLMR1_INLINE F normal_cdf(F x) {
  const F a = mul(x, set1(0.70710678f));
  const F t = max(sub(zero(), a), a);
  const F s = mul(a, a);
  F q =
      fma(fma(t, set1(-1.72853470e-5f), set1(3.83197126e-4f)), s, fma(t, set1(-3.88396438e-3f), set1(2.42546219e-2f)));
  q = fma(q, t, set1(-1.06777877e-1f));
  q = fma(q, t, set1(-6.34846687e-1f));
  q = fma(q, t, set1(-1.28717512e-1f));
  const F tail = mul(set1(0.5f), exp(fma(q, t, sub(zero(), t))));
  F p = set1(-5.96761703e-4f);
  p = fma(p, s, set1(4.99119423e-3f));
  p = fma(p, s, set1(-2.67681349e-2f));
  p = fma(p, s, set1(1.12819925e-1f));
  p = fma(p, s, set1(-3.76125336e-1f));
  p = fma(p, s, set1(1.28379166e-1f));
  const F middle = fma(set1(0.5f), fma(p, a, a), set1(0.5f));
  const F outer = less_select(a, zero(), tail, sub(set1(1.0f), tail));
  return less_select(t, set1(0.927734375f), middle, outer);
}

VLMR1_INLINE F sigmoid(F x) {
  const F one = set1(1.0f);
  return div(one, add(one, exp(sub(zero(), x))));
}

// Calls body(offset, lanes) over n elements: whole vectors, then the rest.
template <typename Body>
VLMR1_INLINE void for_lanes(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + W <= n; i += W) body(i, W);
  if (i < n) body(i, static_cast<int>(n - i));
}

VLMR1_INLINE F load_lanes(const float* p, int lanes) { return lanes == W ? load(p) : load_n(p, lanes); }
VLMR1_INLINE void store_lanes(float* p, F x, int lanes) {
  if (lanes == W) store(p, x);
  else store_n(p, x, lanes);
}

}  // namespace vlmr1::cpu::VLMR1_ISA
