// One block of keys against a tile of query rows. A row's arithmetic does not depend on the other rows of the tile, and
// keys that a row does not see add exact zeros (where values are finite): decoding row by row and training in tiles
// give the same bits.
#include "backend/cpu/kernels/attention_product.h"
#include "backend/cpu/kernels/attention_simd.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

constexpr float kMinusInfinity = -__builtin_inff();

VLMR1_INLINE F visible_scores(const float* row, int i, int visible) {
  const F s = load(row + i);
  if (i + W <= visible) return s;
  return first_n(s, visible > i ? visible - i : 0, set1(kMinusInfinity));
}

VLMR1_INLINE F largest_scores(const float* row, int visible) {
  F largest = set1(kMinusInfinity);
  if (visible == kKeyBlock) {
#pragma GCC unroll 16
    for (int i = 0; i < kKeyBlock; i += W) largest = max(largest, load(row + i));
    return largest;
  }
  for (int i = 0; i < visible; i += W) largest = max(largest, visible_scores(row, i, visible));
  return largest;
}

template <bool All>
VLMR1_INLINE F probability(const float* row, int i, int visible, F top) {
  if constexpr (All) return exp_small(sub(load(row + i), top));
  return i < visible ? exp_small(sub(visible_scores(row, i, visible), top)) : zero();
}

// Scores become unnormalised probabilities, of `width` keys; returns their sums lane by lane, before they are rounded.
template <typename T, bool All>
VLMR1_INLINE F probabilities(float* row, int width, int visible, F top) {
  F total = zero();
#pragma GCC unroll 4
  for (int i = 0; i < width; i += kPerStep<T> * W) {
    const F first = probability<All>(row, i, visible, top);
    total = add(total, first);
    if constexpr (kPerStep<T> == 2) {
      // In place: a pair lies before the scores that it comes from, or where the first of them was.
      const F second = probability<All>(row, i + W, visible, top);
      total = add(total, second);
      store(row + i / 2, as_floats(narrow(first, second)));
    } else {
      store(row + i, first);
    }
  }
  return total;
}

// The block's softmax for W rows from r on: raises their running maximum, b.factor becomes what their sums so far
// shrink by.
template <typename T>
VLMR1_INLINE void softmax_rows(const AttentionBlock& b, int r, int width) {
  const int n = b.rows - r < W ? b.rows - r : W;
  F lanes[W];
  for (int i = 0; i < W; ++i)
    lanes[i] = i < n ? largest_scores(b.scores + (r + i) * kHeadStride, b.visible[r + i]) : zero();
  const F before = load_lanes(b.max + r, n);
  const F top = max(before, across(lanes, [](F x, F y) { return max(x, y); }));
  store_lanes(b.max + r, top, n);
  // Rows that see nothing may have −∞ before and after.
  const F factor = less_select(before, top, exp_small(sub(before, top)), set1(1.0f));
  store_lanes(b.factor + r, factor, n);
  for (int i = 0; i < W; ++i) {
    if (i >= n) {
      lanes[i] = zero();
      continue;
    }
    float* row = b.scores + (r + i) * kHeadStride;
    const F own_top = set1(b.max[r + i]);
    lanes[i] = b.visible[r + i] == kKeyBlock ? probabilities<T, true>(row, kKeyBlock, kKeyBlock, own_top)
                                             : probabilities<T, false>(row, width, b.visible[r + i], own_top);
  }
  const F total = across(lanes, [](F x, F y) { return add(x, y); });
  store_lanes(b.sum + r, add(mul(load_lanes(b.sum + r, n), factor), total), n);
}

template <typename T>
VLMR1_INLINE void block(const AttentionBlock& b) {
  const int d = static_cast<int>(b.head_size);
  const int head_steps = (d + kPerStep<T> - 1) / kPerStep<T>;
  RowSpan spans[kMaxSpans];
  const int count = cut_rows(b.rows, head_steps, 0, spans);
  int seen[kMaxSpans];
  most_visible(spans, count, b.visible, seen);
  for (int i = 0; i < count; ++i) spans[i].n = (seen[i] + W - 1) / W * W;
  const T* q = static_cast<const T*>(b.q);
  const T* kt = static_cast<const T*>(b.kt);
  small_product(Left::kRows, {q, kt, head_steps, kKeyBlock, b.scores, kHeadStride, false, nullptr}, spans, count);
  int width = 0;
  for (int i = 0; i < count; ++i) {
    width = seen[i] > width ? seen[i] : width;
    spans[i].k_end = (seen[i] + kPerStep<T> - 1) / kPerStep<T>;
    spans[i].n = d;
  }
  for (int r = 0; r < b.rows; r += W) softmax_rows<T>(b, r, width);
  const T* p = static_cast<const T*>(static_cast<const void*>(b.scores));
  const T* v = static_cast<const T*>(b.v);
  small_product(Left::kRows, {p, v, kKeyBlock / kPerStep<T>, d, b.out, kHeadStride, true, b.factor}, spans, count);
}

}  // namespace

void attention_block(const AttentionBlock& b) {
  if (b.pairs) block<uint32_t>(b);
  else block<float>(b);
}

}  // namespace vlmr1::cpu::VLMR1_ISA
