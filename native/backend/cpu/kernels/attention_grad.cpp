// The gradient of one block of keys against a tile of query rows, all five products of it.
#include "backend/cpu/kernels/attention_product.h"
#include "backend/cpu/kernels/attention_simd.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

// p = exp(score − lse) and ds = p · (dp − delta) of W keys; zeros for keys that are not seen.
VLMR1_INLINE void gradient(const AttentionGradBlock& b, int r, int i, F* p, F* ds) {
  const int lanes = b.visible[r] - i;
  if (lanes <= 0) {
    *p = *ds = zero();
    return;
  }
  *p = exp_small(sub(load(b.p + r * kHeadStride + i), set1(b.lse[r])));
  *ds = mul(*p, sub(load(b.ds + r * kHeadStride + i), set1(b.delta[r])));
  if (lanes < W) {
    *p = first_n(*p, lanes, zero());
    *ds = first_n(*ds, lanes, zero());
  }
}

VLMR1_INLINE void gradients(const AttentionGradBlock& b) {
  for (int r = 0; r < b.rows; ++r) {
    for (int i = 0; i < b.keys; i += W) {
      F p, ds;
      gradient(b, r, i, &p, &ds);
      store(b.p + r * kHeadStride + i, p);
      store(b.ds + r * kHeadStride + i, ds);
    }
  }
}

// In place, for two rows at a time: pairs of p along rows in the first row of p, of ds in the second, and pairs of ds
// along keys in the rows of ds.
VLMR1_INLINE void gradient_pairs(const AttentionGradBlock& b) {
  for (int r = 0; r < b.rows; r += 2) {
    float* p_pairs = b.p + r * kHeadStride;
    float* ds_pairs = p_pairs + kHeadStride;
    for (int i = 0; i < b.keys; i += 2 * W) {
      F p[2][2], ds[2][2];
      for (int row = 0; row < 2; ++row)
        for (int j = 0; j < 2; ++j) gradient(b, r + row, i + j * W, &p[row][j], &ds[row][j]);
      for (int j = 0; j < 2; ++j) {
        store(p_pairs + i + j * W, as_floats(interleave(p[0][j], p[1][j])));
        store(ds_pairs + i + j * W, as_floats(interleave(ds[0][j], ds[1][j])));
      }
      for (int row = 0; row < 2; ++row)
        store(b.ds + (r + row) * kHeadStride + i / 2, as_floats(narrow(ds[row][0], ds[row][1])));
    }
  }
}

template <typename T>
VLMR1_INLINE const T* words(const void* p) {
  return static_cast<const T*>(p);
}

template <typename T>
VLMR1_INLINE void block(const AttentionGradBlock& b) {
  constexpr int kPer = kPerStep<T>;
  const int d = static_cast<int>(b.head_size);
  const int head_steps = (d + kPer - 1) / kPer;
  RowSpan spans[kMaxSpans];
  int count = cut_rows(b.rows, head_steps, 0, spans);
  int seen[kMaxSpans];
  most_visible(spans, count, b.visible, seen);
  for (int i = 0; i < count; ++i) spans[i].n = (seen[i] + W - 1) / W * W;
  const auto scores = [&](const void* left, const void* right, float* to) {
    small_product(Left::kRows,
                  {words<T>(left), words<T>(right), head_steps, kKeyBlock, to, kHeadStride, false, nullptr}, spans,
                  count);
  };
  scores(b.q, b.kt, b.p);
  scores(b.dout, b.vt, b.ds);
  if constexpr (kPer == 2) gradient_pairs(b);
  else gradients(b);
  for (int i = 0; i < count; ++i) {
    spans[i].k_end = (seen[i] + kPer - 1) / kPer;
    spans[i].n = d;
  }
  small_product(Left::kRows, {words<T>(b.ds), words<T>(b.k), kKeyBlock / kPer, d, b.dq, kHeadStride, true, nullptr},
                spans, count);
  // Rows before the first that sees a key have nothing for it.
  count = cut_rows(b.keys, b.rows / kPer, d, spans);
  int row = 0;
  for (int i = 0; i < count; ++i) {
    while (row < b.rows && b.visible[row] <= spans[i].row) ++row;
    spans[i].k_begin = row / kPer;
  }
  const auto to_keys = [&](const void* left, const void* right, float* to) {
    small_product(Left::kColumns, {words<T>(left), words<T>(right), 0, d, to, d, true, nullptr}, spans, count);
  };
  to_keys(b.p, b.dout_rows, b.dv);
  to_keys(kPer == 2 ? b.p + kHeadStride : b.ds, b.q_rows, b.dk);
}

}  // namespace

void attention_grad_block(const AttentionGradBlock& b) {
  if (b.pairs) block<uint32_t>(b);
  else block<float>(b);
}

// Rows lie in lanes: a dot product is one chain, as those inside a product are. A row that sees a single key has a
// gradient of exactly 0 then.
void row_dots(const float* a, const float* b, float* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r += W) {
    const int height = rows - r < W ? static_cast<int>(rows - r) : W;
    F total = zero();
    for_lanes(n, [&](int64_t i, int lanes) {
      F x[W], z[W];
#pragma GCC unroll 16
      for (int j = 0; j < W; ++j) {
        x[j] = j < height ? load_lanes(a + (r + j) * n + i, lanes) : zero();
        z[j] = j < height ? load_lanes(b + (r + j) * n + i, lanes) : zero();
      }
      transpose(x);
      transpose(z);
#pragma GCC unroll 16
      for (int j = 0; j < W; ++j) total = fma(x[j], z[j], total);
    });
    store_lanes(y + r, total, height);
  }
}

}  // namespace vlmr1::cpu::VLMR1_ISA
