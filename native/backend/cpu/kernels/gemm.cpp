// The register-tiled matrix kernel. Every element of C is one chain of fused multiply-adds over ascending k, whatever
// the tile it falls into: results do not depend on how the caller cuts the work.
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

template <LeftLayout L>
VLMR1_INLINE constexpr int64_t row_stride() {
  return L == LeftLayout::kHead ? kHeadStride : L == LeftLayout::kScores ? kKeyBlock : 1;
}
template <LeftLayout L>
VLMR1_INLINE constexpr int64_t k_stride() {
  return L == LeftLayout::kPacked ? kTileRows : L == LeftLayout::kScoresT ? kKeyBlock : 1;
}

template <int MR, int NV, LeftLayout L>
VLMR1_INLINE void multiply(const MatrixTile& t, const float* a, F (&acc)[MR][NV]) {
  const float* b = t.b;
  const int64_t ldb = t.ldb;
  for (int64_t k = 0; k < t.k; ++k) {
    F bv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) bv[j] = load(b + j * W);
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

template <int MR, int NV, LeftLayout L>
void tile(const MatrixTile& t, int64_t row) {
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
  multiply<MR, NV, L>(t, a, acc);
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

template <int NV, LeftLayout L>
void tiles(const MatrixTile& t) {
  int64_t row = 0;
  for (; row + kTileRows <= t.m; row += kTileRows) tile<kTileRows, NV, L>(t, row);
  if (kTileRows > 8 && row + 8 <= t.m) {
    tile<8, NV, L>(t, row);
    row += 8;
  }
  if (row + 4 <= t.m) {
    tile<4, NV, L>(t, row);
    row += 4;
  }
  if (row + 2 <= t.m) {
    tile<2, NV, L>(t, row);
    row += 2;
  }
  if (row < t.m) tile<1, NV, L>(t, row);
}

template <LeftLayout L>
void by_width(const MatrixTile& t) {
  if (t.n > W) tiles<2, L>(t);
  else tiles<1, L>(t);
}

}  // namespace

void matrix_tile(const MatrixTile& t) {
  if (t.layout == LeftLayout::kPacked) by_width<LeftLayout::kPacked>(t);
  else if (t.layout == LeftLayout::kHead) by_width<LeftLayout::kHead>(t);
  else if (t.layout == LeftLayout::kScores) by_width<LeftLayout::kScores>(t);
  else by_width<LeftLayout::kScoresT>(t);
}

}  // namespace vlmr1::cpu::VLMR1_ISA
