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

VLMR1_INLINE F load_right(const float* p) { return load(p); }
VLMR1_INLINE F load_right(const uint16_t* p) { return load_bf16(p); }

template <int MR, int NV, LeftLayout L, typename B>
VLMR1_INLINE void multiply(const MatrixTile& t, const float* a, const B* b, F (&acc)[MR][NV]) {
  const int64_t ldb = t.ldb;
  for (int64_t k = 0; k < t.k; ++k) {
    F bv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) bv[j] = load_right(b + j * W);
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
void tile(const MatrixTile& t, const B* b, int64_t row) {
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
  multiply<MR, NV, L>(t, a, b, acc);
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
  for (; row + kTileRows <= t.m; row += kTileRows) tile<kTileRows, NV, L>(t, b, row);
  if (kTileRows > 8 && row + 8 <= t.m) {
    tile<8, NV, L>(t, b, row);
    row += 8;
  }
  if (row + 4 <= t.m) {
    tile<4, NV, L>(t, b, row);
    row += 4;
  }
  if (row + 2 <= t.m) {
    tile<2, NV, L>(t, b, row);
    row += 2;
  }
  if (row < t.m) tile<1, NV, L>(t, b, row);
}

template <LeftLayout L, typename B>
void by_width(const MatrixTile& t, const B* b) {
  if (t.n > W) tiles<2, L>(t, b);
  else tiles<1, L>(t, b);
}

}  // namespace

void matrix_tile(const MatrixTile& t) {
  if (t.b_bf16) by_width<LeftLayout::kPacked>(t, t.b_bf16);
  else if (t.layout == LeftLayout::kPacked) by_width<LeftLayout::kPacked>(t, t.b);
  else if (t.layout == LeftLayout::kHead) by_width<LeftLayout::kHead>(t, t.b);
  else if (t.layout == LeftLayout::kScores) by_width<LeftLayout::kScores>(t, t.b);
  else by_width<LeftLayout::kScoresT>(t, t.b);
}

void widen(const uint16_t* bf16, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += W) store(y + i, load_bf16(bf16 + i));
}

}  // namespace vlmr1::cpu::VLMR1_ISA
