// The products inside attention: small left operands, cut into register tiles of nearly equal height, each of which
// leaves out what its rows do not see. Every element is one chain of multiply-adds over ascending k.
#pragma once

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"

namespace vlmr1::cpu::VLMR1_ISA {

// Rows [row, row + rows) of the left operand: k from k_begin up to k_end and the first n columns matter to them.
struct RowSpan {
  int row, rows;
  int k_begin, k_end;
  int n;
};
constexpr int kMaxSpans = kGradRows / kTileRows + 3;

// Cuts m rows into tiles of even height, and one for a row that is left; returns how many.
VLMR1_INLINE int cut_rows(int m, int k, int n, RowSpan* spans) {
  int count = 0;
  for (int row = 0; row < m; ++count) {
    const int left = m - row;
    const int tiles = (left + kTileRows - 1) / kTileRows;
    const int even = (left + 2 * tiles - 1) / (2 * tiles) * 2;
    const int rows = left == 1 ? 1 : even > left ? left - 1 : even;
    spans[count] = {row, rows, 0, k, n};
    row += rows;
  }
  return count;
}

// The most keys that a row of each span sees.
VLMR1_INLINE void most_visible(const RowSpan* spans, int count, const int* visible, int* seen) {
  for (int i = 0; i < count; ++i) {
    seen[i] = 0;
    for (int r = spans[i].row; r < spans[i].row + spans[i].rows; ++r)
      seen[i] = visible[r] > seen[i] ? visible[r] : seen[i];
  }
}

// Where element (m, k) of the left operand is, T by T.
enum class Left {
  kRows,     // a[m · kHeadStride + k]
  kColumns,  // a[k · kPerStep · kHeadStride + m]
};

// How many of k are in one T.
template <typename T>
constexpr int kPerStep = 1;
template <>
constexpr int kPerStep<uint32_t> = 2;

// c (=, +=) a · b. T: float, or uint32_t for pairs of bf16, two of k in a step.
template <typename T>
struct SmallProduct {
  const T* a;
  const T* b;           // in whole vectors: [k][kHeadStride], or
  int64_t panel_steps;  // where it is not 0, in panels of so many steps (see kernels.h)
  int64_t columns;      // of all panels
  float* c;
  int64_t ldc;
  bool add;             // start from c instead of 0,
  const float* factor;  // [m], c times this where it is not null
};

void small_product(Left left, const SmallProduct<float>& p, const RowSpan* spans, int count);
void small_product(Left left, const SmallProduct<uint32_t>& p, const RowSpan* spans, int count);

}  // namespace vlmr1::cpu::VLMR1_ISA
