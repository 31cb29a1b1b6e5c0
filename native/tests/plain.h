// The mathematics of every op in double, written to be read: no tiles, no tricks, no order that matters.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "tests/op_harness.h"

namespace vlmr1::testing::plain {

// x [m, k], w [n, k] → x·wᵀ + bias + residual; null: without.
Doubles linear(const Doubles& x, const Doubles& w, const Doubles* bias, const Doubles* residual, int64_t m, int64_t n);
// x [rows, e], weight [e]
Doubles rms_norm(const Doubles& x, const Doubles& weight, double eps);
Doubles layer_norm(const Doubles& x, const Doubles& weight, const Doubles& bias, double eps);
// x [rows, heads·d], cos and sin [rows, d/2]; `inverse` turns back.
Doubles rope(const Doubles& x, const Doubles& cos, const Doubles& sin, int64_t rows, int64_t d, bool inverse);
double silu(double x);
double gelu(double x, GeluKind kind);
// y[n] = x[index[n]], rows of `cols`.
Doubles gather_rows(const Doubles& x, const std::vector<int32_t>& index, int64_t cols);

// Whether token i sees token j.
bool sees(const SegmentTree& tree, int32_t i, int32_t j);
// Where products are in bf16, of operands that are rounded where the engine rounds them: q times the scale, k, v, dout,
// probabilities (after the sum of the row; less its largest score) and ds.
Doubles attention(const Doubles& q, const Doubles& k, const Doubles& v, const SegmentTree& tree,
                  const AttentionShape& shape);
// dq, dk and dv.
std::vector<Doubles> attention_grad(const Doubles& dout, const Doubles& q, const Doubles& k, const Doubles& v,
                                    const SegmentTree& tree, const AttentionShape& shape);

// Of softmax(logits / temperature), logits [n, v]: log-probability of the targets, and entropy.
struct LogProbs {
  Doubles logp, entropy;
};
LogProbs log_probs(const Doubles& logits, const std::vector<int32_t>& targets, double temperature);

}  // namespace vlmr1::testing::plain
