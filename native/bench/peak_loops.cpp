// No std templates here: the linker could keep the copy that was compiled for AVX-512 for all of the program.
#include "bench/peak_loops.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace vlmr1::bench::VLMR1_ISA {

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kSums = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8, kSums = 12;
#else
constexpr int kLanes = 4, kSums = 12;
#endif
typedef float Vector __attribute__((vector_size(4 * kLanes)));

float add_lanes(const Vector& x) {
  float sum = 0.0f;
  for (int i = 0; i < kLanes; ++i) sum += x[i];
  return sum;
}

Vector all(float value) { return Vector{} + value; }

// Enough sums at once to hide the latency of one; this file is compiled so that x · y + z fuses where the CPU can.
float multiply_add(int64_t rounds) {
  Vector sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = all(static_cast<float>(i));
  Vector factor = all(0.999f), term = all(0.001f);
  for (int64_t round = 0; round < rounds; ++round) {
    // What the compiler cannot see through it cannot compute ahead.
    asm volatile("" : "+m"(factor), "+m"(term));
    const Vector f = factor, t = term;
    for (int repeat = 0; repeat < 16; ++repeat) {
#pragma GCC unroll 16
      for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * f + t;
    }
  }
  Vector sum = sums[0];
  for (int i = 1; i < kSums; ++i) sum += sums[i];
  return add_lanes(sum);
}
constexpr double kMultiplyAddFlops = 16.0 * 2.0 * kSums * kLanes;

#ifdef __AVX512BF16__

float multiply_add_bf16(int64_t rounds) {
  Vector sums[kSums] = {};
  __m512i bits = _mm512_set1_epi32(0x3f803f80);  // ones
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+m"(bits));
    const __m512bh ones = (__m512bh)bits;
    for (int repeat = 0; repeat < 16; ++repeat) {
#pragma GCC unroll 16
      for (int i = 0; i < kSums; ++i) sums[i] = (Vector)_mm512_dpbf16_ps((__m512)sums[i], ones, ones);
    }
  }
  Vector sum = sums[0];
  for (int i = 1; i < kSums; ++i) sum += sums[i];
  return add_lanes(sum);
}
constexpr auto kBf16 = &multiply_add_bf16;

#else

constexpr float (*kBf16)(int64_t) = nullptr;

#endif

float read(const float* x, int64_t n) {
  Vector sums[kReadUnit / 16] = {};
  constexpr int kStep = kReadUnit / 16;
  for (int64_t at = 0; at < n; at += kStep * kLanes) {
    const Vector* from = reinterpret_cast<const Vector*>(x + at);
#pragma GCC unroll 16
    for (int i = 0; i < kStep; ++i) sums[i] += from[i];
  }
  Vector sum = sums[0];
  for (int i = 1; i < kStep; ++i) sum += sums[i];
  return add_lanes(sum);
}

}  // namespace

const PeakLoops& loops() {
  static const PeakLoops kLoops{kMultiplyAddFlops, multiply_add, 2.0 * kMultiplyAddFlops, kBf16, read};
  return kLoops;
}

}  // namespace vlmr1::bench::VLMR1_ISA
