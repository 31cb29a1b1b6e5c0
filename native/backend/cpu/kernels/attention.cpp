// One block of keys against a tile of query rows. A row's arithmetic does not depend on the other rows of the tile, and
// keys that a row does not see add exact zeros: decoding row by row and training in tiles give the same bits.
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

constexpr float kMinusInfinity = -__builtin_inff();

// out [rows, n] (=, +=) a · b, cut into panels.
VLMR1_INLINE void product(int rows, int64_t n, int64_t k, const float* a, LeftLayout layout, const float* b,
                          int64_t ldb, float* c, int64_t ldc, bool accumulate) {
  for (int64_t n0 = 0; n0 < n; n0 += kPanelWidth) {
    MatrixTile t{};
    t.m = rows;
    t.n = n - n0 < kPanelWidth ? n - n0 : kPanelWidth;
    t.k = k;
    t.a = a;
    t.layout = layout;
    t.b = b + n0;
    t.ldb = ldb;
    t.c = c + n0;
    t.ldc = ldc;
    t.accumulate = accumulate;
    matrix_tile(t);
  }
}

VLMR1_INLINE F visible_scores(const float* row, int i, int visible) {
  const F s = load(row + i);
  if (i + W <= visible) return s;
  return first_n(s, visible > i ? visible - i : 0, set1(kMinusInfinity));
}

// Turns a row of scores into unnormalised probabilities; returns the factor for what was summed before.
VLMR1_INLINE float softmax_row(float* row, int width, int visible, float* running_max, float* running_sum) {
  F largest = set1(*running_max);
  for (int i = 0; i < width; i += W) {
    const F s = visible_scores(row, i, visible);
    store(row + i, s);
    largest = max(largest, s);
  }
  const float new_max = hmax(largest);
  F total = zero();
  for (int i = 0; i < width; i += W) {
    const F p = exp(sub(load(row + i), set1(new_max)));
    store(row + i, p);
    total = add(total, p);
  }
  float alpha[W];
  store(alpha, exp(set1(*running_max - new_max)));
  *running_sum = *running_sum * alpha[0] + sum(total);
  *running_max = new_max;
  return alpha[0];
}

}  // namespace

void attention_block(const AttentionBlock& b) {
  const int64_t d = b.head_size;
  const int width = (b.keys + W - 1) / W * W;
  product(b.rows, width, d, b.q, LeftLayout::kHead, b.kt, kKeyBlock, b.scores, kKeyBlock, false);
  int seen = 0;
  for (int r = 0; r < b.rows; ++r) {
    float* row = b.scores + r * kKeyBlock;
    if (b.visible[r] > seen) seen = b.visible[r];
    if (b.visible[r] == 0) {  // nothing to see: the state stays, its probabilities are zeros
      for (int i = 0; i < width; i += W) store(row + i, zero());
      continue;
    }
    const float alpha = softmax_row(row, width, b.visible[r], b.max + r, b.sum + r);
    if (alpha != 1.0f) {
      float* out = b.out + r * kHeadStride;
      for_lanes(d, [&](int64_t i, int n) { store_lanes(out + i, mul(load_lanes(out + i, n), set1(alpha)), n); });
    }
  }
  if (seen > 0) product(b.rows, d, seen, b.scores, LeftLayout::kScores, b.v, d, b.out, kHeadStride, true);
}

void attention_grad_block(const AttentionGradBlock& b) {
  const int64_t d = b.head_size;
  const int width = (b.keys + W - 1) / W * W;
  product(b.rows, width, d, b.q, LeftLayout::kHead, b.kt, kKeyBlock, b.p, kKeyBlock, false);
  product(b.rows, width, d, b.dout, LeftLayout::kHead, b.vt, kKeyBlock, b.ds, kKeyBlock, false);
  for (int r = 0; r < b.rows; ++r) {
    float* p = b.p + r * kKeyBlock;
    float* ds = b.ds + r * kKeyBlock;
    const F lse = set1(b.lse[r]);
    const F delta = set1(b.delta[r]);
    for (int i = 0; i < width; i += W) {
      const int lanes = b.visible[r] - i;
      const F prob = lanes <= 0 ? zero() : exp(sub(visible_scores(p, i, b.visible[r]), lse));
      F grad = mul(prob, sub(load(ds + i), delta));
      if (lanes < W) grad = first_n(grad, lanes > 0 ? lanes : 0, zero());
      store(p + i, prob);
      store(ds + i, grad);
    }
  }
}

}  // namespace vlmr1::cpu::VLMR1_ISA
