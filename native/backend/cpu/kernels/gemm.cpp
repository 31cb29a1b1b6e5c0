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

namespace {

template <LeftLayout L>
VLMR1_INLINE constexpr int64_t row_stride() {
  return L == LeftLayout::kHead ? kHeadStride : L == LeftLayout::kScores ? kKeyBlock : 1;
}
template <LeftLayout L>
VLMR1_INLINE constexpr int64_t k_stride() {
  return L == LeftLayout::kPacked ? kTileRows : L == LeftLayout::kScoresT ? kKeyBlock : 1;
}

VLMR1_INLINE F load_old(const float* p) { return load(p); }

template <int MR, int NV, LeftLayout L, typename B>
VLMR1_INLINE void old_multiply(const MatrixTile& t, const float* a, const B* b, F (&acc)[MR][NV]) {
  const int64_t ldb = t.ldb;
  for (int64_t k = 0; k < t.k; ++k) {
    F bv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) bv[j] = load_old(b + j * W);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const F av = set1(a[i * row_stride<L>()]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
    a += k_stride<L>();
    b += ldb;
  }
}

template <int MR, int NV, LeftLayout L, typename B>
void old_tile(const MatrixTile& t, const B* b, int64_t row) {
  const float* a = t.a + row * row_stride<L>();
  float* c = t.c + row * t.ldc;
  // Lanes of the last vector that exist.
  const int last = static_cast<int>(t.n - (NV - 1) * W);
  F acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      if (t.accumulate) acc[i][j] = load_lanes(c + i * t.ldc + j * W, j + 1 < NV ? W : last);
      else acc[i][j] = zero();
    }
  }
  old_multiply<MR, NV, L>(t, a, b, acc);
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      const int lanes = j + 1 < NV ? W : last;
      F x = acc[i][j];
      if (t.bias) x = add(x, load_lanes(t.bias + j * W, lanes));
      if (t.residual) x = add(x, load_lanes(t.residual + (row + i) * t.ldr + j * W, lanes));
      store_lanes(c + i * t.ldc + j * W, x, lanes);
    }
  }
}

template <int NV, LeftLayout L, typename B>
void tiles(const MatrixTile& t, const B* b) {
  int64_t row = 0;
  for (; row + kTileRows <= t.m; row += kTileRows) old_tile<kTileRows, NV, L>(t, b, row);
  if (kTileRows > 8 && row + 8 <= t.m) {
    old_tile<8, NV, L>(t, b, row);
    row += 8;
  }
  if (row + 4 <= t.m) {
    old_tile<4, NV, L>(t, b, row);
    row += 4;
  }
  if (row + 2 <= t.m) {
    old_tile<2, NV, L>(t, b, row);
    row += 2;
  }
  if (row < t.m) old_tile<1, NV, L>(t, b, row);
}

template <LeftLayout L, typename B>
void by_width(const MatrixTile& t, const B* b) {
  if (t.n > W) tiles<2, L>(t, b);
  else tiles<1, L>(t, b);
}

}  // namespace

void matrix_tile(const MatrixTile& t) {
  if (t.layout == LeftLayout::kPacked) by_width<LeftLayout::kPacked>(t, t.b);
  else if (t.layout == LeftLayout::kHead) by_width<LeftLayout::kHead>(t, t.b);
  else if (t.layout == LeftLayout::kScores) by_width<LeftLayout::kScores>(t, t.b);
  else by_width<LeftLayout::kScoresT>(t, t.b);
}

}  // namespace vlmr1::cpu::VLMR1_ISA
