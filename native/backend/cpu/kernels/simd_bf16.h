// Pairs of bf16 in the lanes of a vector: lane i holds element 2i in its low half and element 2i + 1 in the high one.
// as_floats and as_pairs see the same bits as the one or the other; round_bits leaves a rounded number in the high half
// of each lane, gather_high takes those of two vectors in order.
#pragma once

#include <cstddef>

#include "backend/cpu/kernels/simd.h"

namespace vlmr1::cpu::VLMR1_ISA {

#if defined(__AVX512F__)

using Pairs = __m512i;
VLMR1_INLINE F as_floats(Pairs x) { return _mm512_castsi512_ps(x); }
VLMR1_INLINE Pairs as_pairs(F x) { return _mm512_castps_si512(x); }
VLMR1_INLINE Pairs load_pairs(const uint32_t* p) { return _mm512_loadu_si512(p); }
VLMR1_INLINE void store_pairs(uint32_t* p, Pairs x) { _mm512_storeu_si512(p, x); }
VLMR1_INLINE Pairs set1_pairs(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
VLMR1_INLINE F low(Pairs x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); }
VLMR1_INLINE F high(Pairs x) { return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(-0x10000))); }
VLMR1_INLINE Pairs round_bits(F x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  return _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), rounded, quiet);
}
VLMR1_INLINE Pairs join(Pairs even, Pairs odd) {
  return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(even, 16), odd);
}
VLMR1_INLINE Pairs gather_high(Pairs a, Pairs b) {
  const __m512i words = _mm512_add_epi16(
      _mm512_set1_epi16(1), _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26,
                                             24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0));
  return _mm512_permutex2var_epi16(a, words, b);
}
VLMR1_INLINE Pairs interleave_low(Pairs a, Pairs b) {
  const __m512i lanes = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutex2var_epi32(a, lanes, b);
}
VLMR1_INLINE Pairs interleave_high(Pairs a, Pairs b) {
  const __m512i lanes = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
  return _mm512_permutex2var_epi32(a, lanes, b);
}
VLMR1_INLINE void store_pairs_n(uint32_t* p, Pairs x, int n) {
  _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), x);
}

#elif defined(__AVX2__)

using Pairs = __m256i;
VLMR1_INLINE F as_floats(Pairs x) { return _mm256_castsi256_ps(x); }
VLMR1_INLINE Pairs as_pairs(F x) { return _mm256_castps_si256(x); }
VLMR1_INLINE Pairs load_pairs(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
VLMR1_INLINE void store_pairs(uint32_t* p, Pairs x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
VLMR1_INLINE Pairs set1_pairs(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
VLMR1_INLINE F low(Pairs x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)); }
VLMR1_INLINE F high(Pairs x) { return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(-0x10000))); }
VLMR1_INLINE Pairs round_bits(F x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}
VLMR1_INLINE Pairs join(Pairs even, Pairs odd) { return _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xaa); }
VLMR1_INLINE Pairs gather_high(Pairs a, Pairs b) {
  const __m256i mixed = _mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16));
  return _mm256_permute4x64_epi64(mixed, 0xd8);
}
VLMR1_INLINE Pairs interleave_low(Pairs a, Pairs b) {
  return _mm256_permute2x128_si256(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b), 0x20);
}
VLMR1_INLINE Pairs interleave_high(Pairs a, Pairs b) {
  return _mm256_permute2x128_si256(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b), 0x31);
}
VLMR1_INLINE void store_pairs_n(uint32_t* p, Pairs x, int n) {
  _mm256_maskstore_epi32(reinterpret_cast<int*>(p), lane_mask(n), x);
}

#elif defined(__SSE2__)

using Pairs = __m128i;
VLMR1_INLINE F as_floats(Pairs x) { return _mm_castsi128_ps(x); }
VLMR1_INLINE Pairs as_pairs(F x) { return _mm_castps_si128(x); }
VLMR1_INLINE Pairs load_pairs(const uint32_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
VLMR1_INLINE void store_pairs(uint32_t* p, Pairs x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }
VLMR1_INLINE Pairs set1_pairs(uint32_t x) { return _mm_set1_epi32(static_cast<int>(x)); }
VLMR1_INLINE F low(Pairs x) { return _mm_castsi128_ps(_mm_slli_epi32(x, 16)); }
VLMR1_INLINE F high(Pairs x) { return _mm_castsi128_ps(_mm_and_si128(x, _mm_set1_epi32(-0x10000))); }
VLMR1_INLINE Pairs round_bits(F x) {
  const __m128i bits = _mm_castps_si128(x);
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
  const __m128i rounded = _mm_add_epi32(_mm_add_epi32(bits, _mm_set1_epi32(0x7fff)), odd);
  const __m128i quiet = _mm_or_si128(bits, _mm_set1_epi32(0x400000));
  const __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(x, x));
  return _mm_or_si128(_mm_and_si128(nan, quiet), _mm_andnot_si128(nan, rounded));
}
VLMR1_INLINE Pairs join(Pairs even, Pairs odd) {
  return _mm_or_si128(_mm_srli_epi32(even, 16), _mm_and_si128(odd, _mm_set1_epi32(-0x10000)));
}
// The signed pack saturates nothing: its inputs are sign-extended words.
VLMR1_INLINE Pairs gather_high(Pairs a, Pairs b) {
  return _mm_packs_epi32(_mm_srai_epi32(a, 16), _mm_srai_epi32(b, 16));
}
VLMR1_INLINE Pairs interleave_low(Pairs a, Pairs b) { return _mm_unpacklo_epi32(a, b); }
VLMR1_INLINE Pairs interleave_high(Pairs a, Pairs b) { return _mm_unpackhi_epi32(a, b); }
VLMR1_INLINE void store_pairs_n(uint32_t* p, Pairs x, int n) {
  uint32_t t[4];
  store_pairs(t, x);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}

#elif defined(__ARM_NEON)

using Pairs = uint32x4_t;
VLMR1_INLINE F as_floats(Pairs x) { return vreinterpretq_f32_u32(x); }
VLMR1_INLINE Pairs as_pairs(F x) { return vreinterpretq_u32_f32(x); }
VLMR1_INLINE Pairs load_pairs(const uint32_t* p) { return vld1q_u32(p); }
VLMR1_INLINE void store_pairs(uint32_t* p, Pairs x) { vst1q_u32(p, x); }
VLMR1_INLINE Pairs set1_pairs(uint32_t x) { return vdupq_n_u32(x); }
VLMR1_INLINE F low(Pairs x) { return vreinterpretq_f32_u32(vshlq_n_u32(x, 16)); }
VLMR1_INLINE F high(Pairs x) { return vreinterpretq_f32_u32(vandq_u32(x, vdupq_n_u32(0xffff0000u))); }
VLMR1_INLINE Pairs round_bits(F x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
  return vbslq_u32(vceqq_f32(x, x), rounded, vorrq_u32(bits, vdupq_n_u32(0x400000)));
}
VLMR1_INLINE Pairs join(Pairs even, Pairs odd) {
  return vorrq_u32(vshrq_n_u32(even, 16), vandq_u32(odd, vdupq_n_u32(0xffff0000u)));
}
VLMR1_INLINE Pairs gather_high(Pairs a, Pairs b) {
  return vreinterpretq_u32_u16(vuzp2q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b)));
}
VLMR1_INLINE Pairs interleave_low(Pairs a, Pairs b) { return vzip1q_u32(a, b); }
VLMR1_INLINE Pairs interleave_high(Pairs a, Pairs b) { return vzip2q_u32(a, b); }
VLMR1_INLINE void store_pairs_n(uint32_t* p, Pairs x, int n) {
  uint32_t t[4];
  store_pairs(t, x);
  for (int i = 0; i < n; ++i) p[i] = t[i];
}

#endif

// Rounds to nearest even, as f32_to_bf16 does, but that numbers below 2⁻¹²⁶ may become 0: lane i of the result is
// (even[i], odd[i]).
VLMR1_INLINE Pairs to_pairs(F even, F odd) {
#if defined(__AVX512BF16__)
  const __m512i words = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, words);
#else
  return join(round_bits(even), round_bits(odd));
#endif
}

// 2W numbers in their order, rounded: the first W in `first`.
VLMR1_INLINE Pairs narrow(F first, F second) {
#if defined(__AVX512BF16__)
  return (__m512i)_mm512_cvtne2ps_pbh(second, first);
#else
  return gather_high(round_bits(first), round_bits(second));
#endif
}

// Turns W vectors into the W columns of them.
VLMR1_INLINE void transpose(Pairs (&v)[W]) {
#pragma GCC unroll 4
  for (int half = 1; half < W; half *= 2) {
    Pairs u[W];
#pragma GCC unroll 8
    for (int i = 0; i < W / 2; ++i) {
      u[2 * i] = interleave_low(v[i], v[i + W / 2]);
      u[2 * i + 1] = interleave_high(v[i], v[i + W / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) v[i] = u[i];
  }
}

// x rounded to bf16, in f32.
VLMR1_INLINE F round_to_bf16(F x) { return high(round_bits(x)); }

// The first `lanes` of x, rounded to bf16, one after the other.
VLMR1_INLINE void store_bf16(uint16_t* p, F x, int lanes) {
  const Pairs bits = round_bits(x);
  uint32_t twice[W];
  store_pairs(twice, gather_high(bits, bits));
  __builtin_memcpy(p, twice, static_cast<size_t>(lanes) * sizeof(uint16_t));
}

#if defined(__AVX512BF16__)
constexpr bool kDotsPairs = true;
#else
constexpr bool kDotsPairs = false;
#endif

// acc + a_high · b_high, then + a_low · b_low, both fused: the order of the processors that do it in one instruction
// (they take numbers below 2⁻¹²⁶ for 0).
VLMR1_INLINE F dot_pairs(F acc, Pairs a, Pairs b) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
#else
  return fma(low(a), low(b), fma(high(a), high(b), acc));
#endif
}

}  // namespace vlmr1::cpu::VLMR1_ISA
