// The register-tiled matrix kernel over packed operands.
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/multiply.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

// Fetches what the next tiles read into the second-level cache, some lines a step: the processor's own prefetching
// stops at page borders.
struct FetchAhead {
  const char* next;
  int64_t second, step;
  explicit __attribute__((always_inline)) FetchAhead(const PanelTile& t)
      : next(t.ahead), second(t.ahead_lines == 2 ? kLine : 0), step(t.ahead_lines * kLine) {}
  __attribute__((always_inline)) void operator()() {
    __builtin_prefetch(next, 0, 2);
    __builtin_prefetch(next + second, 0, 2);
    next += step;
  }
  static constexpr int64_t kLine = 64;
};

// a in f32, b in pairs of bf16: as if b were widened first.
template <int MR, int NV>
VLMR1_INLINE void multiply_mixed(const float* a, const uint32_t* b, int64_t k, F (&acc)[MR][NV], FetchAhead fetch) {
  for (; k > 0; k -= 2, a += 2 * kTileRows, b += kPanelWidth) {
    fetch();
    Pairs bv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) bv[j] = load_pairs(b + j * W);
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
      const F av = set1(a[i]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] = fma(av, low(bv[j]), acc[i][j]);
    }
    if (k == 1) return;
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
      const F av = set1(a[kTileRows + i]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] = fma(av, high(bv[j]), acc[i][j]);
    }
  }
}

template <int MR, int NV>
VLMR1_INLINE void add_products(const PanelTile& t, F (&acc)[MR][NV]) {
  const FetchAhead fetch(t);
  if (t.a_pairs) {
    multiply<MR, NV>(t.a, 1, kTileRows, t.b, kPanelWidth, (t.k + 1) / 2, acc, fetch);
  } else {
    const float* a = reinterpret_cast<const float*>(t.a);
    if (t.b_pairs) multiply_mixed<MR, NV>(a, t.b, t.k, acc, fetch);
    else multiply<MR, NV>(a, 1, kTileRows, reinterpret_cast<const float*>(t.b), kPanelWidth, t.k, acc, fetch);
  }
}

template <int MR, int NV>
VLMR1_INLINE void finish(const PanelTile& t, int last, F (&acc)[MR][NV]) {
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      const int lanes = j + 1 < NV ? W : last;
      F x = acc[i][j];
      if (t.bias) x = add(x, load_lanes(t.bias + j * W, lanes));
      if (t.residual) x = add(x, load_lanes(t.residual + i * t.ldr + j * W, lanes));
      store_lanes(t.c + i * t.ldc + j * W, x, lanes);
    }
  }
}

template <int MR, int NV>
void tile(const PanelTile& t) {
  // Lanes of the last vector that exist.
  const int last = static_cast<int>(t.n - (NV - 1) * W);
  F acc[MR][NV];
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j)
      acc[i][j] = t.accumulate ? load_lanes(t.c + i * t.ldc + j * W, j + 1 < NV ? W : last) : zero();
  }
  add_products<MR, NV>(t, acc);
  finish<MR, NV>(t, last, acc);
}

// Every height has a tile of its own: rows of a batch are spread evenly, none is computed for nothing.
template <int MR>
void tile_of_height(const PanelTile& t) {
  if constexpr (MR > 1) {
    if (t.m < MR) return tile_of_height<MR - 1>(t);
  }
  if (t.n > W) tile<MR, 2>(t);
  else tile<MR, 1>(t);
}

}  // namespace

void panel_tile(const PanelTile& t) { tile_of_height<kTileRows>(t); }

}  // namespace vlmr1::cpu::VLMR1_ISA
