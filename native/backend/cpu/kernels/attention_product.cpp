#include "backend/cpu/kernels/attention_product.h"

#include "backend/cpu/kernels/multiply.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

template <typename T>
struct Panel {
  const T* b;
  int64_t step;
};

template <int MR, int NV>
VLMR1_INLINE void start(bool add, const float* factor, const float* c, int64_t ldc, int last, F (&acc)[MR][NV]) {
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) acc[i][j] = add ? load_lanes(c + i * ldc + j * W, j + 1 < NV ? W : last) : zero();
  }
  if (!factor) return;
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) acc[i][j] = mul(acc[i][j], set1(factor[i]));
  }
}

template <int MR, int NV>
VLMR1_INLINE void finish(const F (&acc)[MR][NV], float* c, int64_t ldc, int last) {
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) store_lanes(c + i * ldc + j * W, acc[i][j], j + 1 < NV ? W : last);
  }
}

template <Left L, int MR, int NV, typename T>
void tile(const SmallProduct<T>& p, const RowSpan& s, const Panel<T>& panel, int n0) {
  constexpr int64_t kRow = L == Left::kRows ? kHeadStride : 1;
  constexpr int64_t kStep = L == Left::kRows ? 1 : kPerStep<T> * kHeadStride;
  float* c = p.c + s.row * p.ldc + n0;
  // Lanes of the last vector that exist.
  const int last = s.n - n0 < NV * W ? s.n - n0 - (NV - 1) * W : W;
  F acc[MR][NV];
  if (!p.add) start(false, nullptr, c, p.ldc, W, acc);
  else if (last == W) start(true, p.factor ? p.factor + s.row : nullptr, c, p.ldc, W, acc);
  else start(true, p.factor ? p.factor + s.row : nullptr, c, p.ldc, last, acc);
  multiply<MR, NV>(p.a + s.row * kRow + s.k_begin * kStep, kRow, kStep, panel.b + s.k_begin * panel.step, panel.step,
                   s.k_end - s.k_begin, acc);
  if (last == W) finish(acc, c, p.ldc, W);
  else finish(acc, c, p.ldc, last);
}

template <Left L, int MR, int NV, typename T>
VLMR1_INLINE void by_height(const SmallProduct<T>& p, const RowSpan& s, const Panel<T>& panel, int n0) {
  if (s.rows == MR) return tile<L, MR, NV>(p, s, panel, n0);
  if constexpr (MR > 1) by_height<L, MR == 2 ? 1 : MR - 2, NV>(p, s, panel, n0);
}

template <typename T>
VLMR1_INLINE Panel<T> panel_at(const SmallProduct<T>& p, int64_t n0) {
  if (p.panel_steps == 0) return {p.b + n0, kHeadStride};
  const int64_t first = n0 / kPanelColumns * kPanelColumns;
  const int64_t left = p.columns - first;
  return {p.b + first * p.panel_steps + n0 - first, left < kPanelColumns ? left : kPanelColumns};
}

template <Left L, typename T>
VLMR1_INLINE void span_panel(const SmallProduct<T>& p, const RowSpan& s, const Panel<T>& panel, int n0) {
  if (s.n <= n0 || s.k_begin >= s.k_end) return;
  if (s.n - n0 > W) by_height<L, kTileRows, 2>(p, s, panel, n0);
  else by_height<L, kTileRows, 1>(p, s, panel, n0);
}

// Rows stay in the first cache while the panels, which lie one after the other, stream by.
template <typename T>
VLMR1_INLINE void rows_first(const SmallProduct<T>& p, const RowSpan* spans, int count) {
  for (int i = 0; i < count; ++i)
    for (int n0 = 0; n0 < spans[i].n; n0 += kPanelWidth) span_panel<Left::kRows>(p, spans[i], panel_at(p, n0), n0);
}

// A panel stays in the first cache for all rows.
template <typename T>
VLMR1_INLINE void panels_first(const SmallProduct<T>& p, const RowSpan* spans, int count) {
  int n = 0;
  for (int i = 0; i < count; ++i) n = spans[i].n > n ? spans[i].n : n;
  for (int n0 = 0; n0 < n; n0 += kPanelWidth) {
    const Panel<T> panel = panel_at(p, n0);
    for (int i = 0; i < count; ++i) span_panel<Left::kColumns>(p, spans[i], panel, n0);
  }
}

template <typename T>
VLMR1_INLINE void by_layout(Left left, const SmallProduct<T>& p, const RowSpan* spans, int count) {
  if (left == Left::kRows) rows_first(p, spans, count);
  else panels_first(p, spans, count);
}

}  // namespace

void small_product(Left left, const SmallProduct<float>& p, const RowSpan* spans, int count) {
  by_layout(left, p, spans, count);
}
void small_product(Left left, const SmallProduct<uint32_t>& p, const RowSpan* spans, int count) {
  by_layout(left, p, spans, count);
}

}  // namespace vlmr1::cpu::VLMR1_ISA
