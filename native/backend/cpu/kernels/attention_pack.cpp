// Operands of attention in the order in which its products read them, in f32 or as pairs of bf16.
#include "backend/cpu/kernels/attention_simd.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

// Lanes of a vector at i of n elements.
VLMR1_INLINE int lanes_at(int64_t i, int64_t n) { return n - i >= W ? W : n > i ? static_cast<int>(n - i) : 0; }

// Rows of one head are far apart in memory, where the processor does not foresee the next one.
constexpr int kAhead = 12;
VLMR1_INLINE void prefetch_row(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(x + i);
}

// W words of a row from word j on: floats, or pairs of neighbours. Zeros past the end.
VLMR1_INLINE F row_words(const float* x, int64_t d, int64_t j, bool pairs) {
  if (!pairs) return load_lanes(x + j, lanes_at(j, d));
  const int first = lanes_at(2 * j, d), second = lanes_at(2 * j + W, d);
  const F a = load_lanes(x + 2 * j, first);
  return as_floats(narrow(a, second > 0 ? load_lanes(x + 2 * j + W, second) : zero()));
}

// Where row 0 of column j is, of panels of so many steps.
VLMR1_INLINE float* column_at(void* panels, int64_t j, int64_t steps) {
  return static_cast<float*>(panels) + j / kPanelColumns * kPanelColumns * steps + j % kPanelColumns;
}
// How far apart rows are there.
VLMR1_INLINE int64_t panel_step(int64_t j, int64_t columns) {
  const int64_t left = columns - j / kPanelColumns * kPanelColumns;
  return left < kPanelColumns ? left : kPanelColumns;
}

// One token: a column.
VLMR1_INLINE void put_column(const AttentionKeys& t, const float* x, int64_t words, int at) {
  float column[kMaxHeadSize + W];
  for (int64_t j = 0; j < words; j += W) store(column + j, row_words(x, t.head_size, j, t.pairs));
  float* out = column_at(t.transposed, at, words);
  for (int64_t j = 0; j < words; ++j) __builtin_memcpy(out + j * kPanelColumns, column + j, sizeof(float));
}

// W tokens, and zeros for those of them that are not there.
VLMR1_INLINE void put_columns(const AttentionKeys& t, const float* x, int64_t words, int at, int tokens) {
  float* out = column_at(t.transposed, at, words);
  for (int64_t j = 0; j < words; j += W) {
    F r[W];
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) r[i] = i < tokens ? row_words(x + i * t.stride, t.head_size, j, t.pairs) : zero();
    transpose(r);
    const int lanes = lanes_at(j, words);
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i)
      if (i < lanes) store(out + (j + i) * kPanelColumns, r[i]);
  }
}

VLMR1_INLINE void put_transposed(const AttentionKeys& t) {
  const int64_t words = t.pairs ? (t.head_size + 1) / 2 : t.head_size;
  for (int i = 0; i < t.count;) {
    const int at = t.first + i;
    const int tokens = t.count - i < W ? t.count - i : W;
    const float* x = t.x + i * t.stride;
    for (int next = i + W; next < t.count && next < i + 2 * W; ++next) prefetch_row(t.x + next * t.stride, t.head_size);
    if (at % W == 0 && tokens > 1) {
      put_columns(t, x, words, at, tokens);
      i += tokens;
    } else {
      put_column(t, x, words, at);
      ++i;
    }
  }
}

VLMR1_INLINE void put_rows(const AttentionKeys& t) {
  const int64_t d = t.head_size;
  const int64_t steps = t.pairs ? kKeyBlock / 2 : kKeyBlock;
  // One row of the panels: `make(j, lanes, before)` gives its words from column j on, where `before` is so far.
  const auto put = [&](int64_t step, const auto& make) {
    for_lanes(d, [&](int64_t j, int n) {
      float* out = column_at(t.rows, j, steps) + step * panel_step(j, d);
      store_lanes(out, make(j, n, out), n);
    });
  };
  for (int i = 0; i < t.count; ++i) {
    const int at = t.first + i;
    const float* x = t.x + i * t.stride;
    if (i + kAhead < t.count) prefetch_row(x + kAhead * t.stride, d);
    if (i + kAhead + 1 < t.count && t.pairs) prefetch_row(x + (kAhead + 1) * t.stride, d);
    if (!t.pairs) {
      put(at, [&](int64_t j, int n, const float*) { return load_lanes(x + j, n); });
    } else if (at % 2 == 1) {  // beside a token that came before
      put(at / 2, [&](int64_t j, int n, const float* out) {
        return as_floats(interleave(low(as_pairs(load_lanes(out, n))), load_lanes(x + j, n)));
      });
    } else if (i + 1 < t.count) {
      put(at / 2, [&](int64_t j, int n, const float*) {
        return as_floats(interleave(load_lanes(x + j, n), load_lanes(x + t.stride + j, n)));
      });
      ++i;
    } else {  // a partner that is not there yet is 0: its probability, 0, times it adds nothing
      put(at / 2, [&](int64_t j, int n, const float*) { return as_floats(interleave(load_lanes(x + j, n), zero())); });
    }
  }
}

}  // namespace

void attention_pack_keys(const AttentionKeys& t) {
  if (t.transposed) put_transposed(t);
  if (t.rows) put_rows(t);
}

void attention_pack_queries(const AttentionQueries& t) {
  const int64_t d = t.head_size;
  const F scale = set1(t.scale);
  const auto row = [&](int r, int64_t i, int n) {
    return r < t.rows && t.x[r] && n > 0 ? mul(load_lanes(t.x[r] + i, n), scale) : zero();
  };
  for (int r = 0; r < t.rows; ++r) {
    float* out = static_cast<float*>(t.along_head) + r * kHeadStride;
    if (r + kAhead < t.rows && t.x[r + kAhead]) prefetch_row(t.x[r + kAhead], d);
    if (!t.pairs) {
      for (int64_t i = 0; i < d; i += W) store(out + i, row(r, i, lanes_at(i, d)));
      continue;
    }
    for (int64_t i = 0; i < d; i += 2 * W)
      store(out + i / 2, as_floats(narrow(row(r, i, lanes_at(i, d)), row(r, i + W, lanes_at(i + W, d)))));
  }
  for (int r = 0; t.along_rows && r < t.rows; r += 2) {
    for (int64_t i = 0; i < d; i += W) {
      const int n = lanes_at(i, d);
      store_pairs(t.along_rows + r / 2 * kHeadStride + i, interleave(row(r, i, n), row(r + 1, i, n)));
    }
  }
}

}  // namespace vlmr1::cpu::VLMR1_ISA
