#include "tests/plain.h"

#include <algorithm>
#include <cmath>

namespace vlmr1::testing::plain {

Doubles linear(const Doubles& x, const Doubles& w, const Doubles* bias, const Doubles* residual, int64_t m, int64_t n) {
  const int64_t k = static_cast<int64_t>(x.size()) / m;
  Doubles y(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0.0;
      for (int64_t l = 0; l < k; ++l) sum += x[i * k + l] * w[j * k + l];
      y[i * n + j] = sum + (bias ? (*bias)[j] : 0.0) + (residual ? (*residual)[i * n + j] : 0.0);
    }
  }
  return y;
}

Doubles rms_norm(const Doubles& x, const Doubles& weight, double eps) {
  const size_t e = weight.size();
  Doubles y(x.size());
  for (size_t row = 0; row < x.size(); row += e) {
    double squares = 0.0;
    for (size_t i = 0; i < e; ++i) squares += x[row + i] * x[row + i];
    const double rms = std::sqrt(squares / static_cast<double>(e) + eps);
    for (size_t i = 0; i < e; ++i) y[row + i] = x[row + i] / rms * weight[i];
  }
  return y;
}

Doubles layer_norm(const Doubles& x, const Doubles& weight, const Doubles& bias, double eps) {
  const size_t e = weight.size();
  const double count = static_cast<double>(e);
  Doubles y(x.size());
  for (size_t row = 0; row < x.size(); row += e) {
    double mean = 0.0, variance = 0.0;
    for (size_t i = 0; i < e; ++i) mean += x[row + i] / count;
    for (size_t i = 0; i < e; ++i) variance += (x[row + i] - mean) * (x[row + i] - mean) / count;
    for (size_t i = 0; i < e; ++i) y[row + i] = (x[row + i] - mean) / std::sqrt(variance + eps) * weight[i] + bias[i];
  }
  return y;
}

Doubles rope(const Doubles& x, const Doubles& cos, const Doubles& sin, int64_t rows, int64_t d, bool inverse) {
  const int64_t cols = static_cast<int64_t>(x.size()) / rows;
  const int64_t half = d / 2;
  Doubles y(x.size());
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t head = 0; head < cols; head += d) {
      for (int64_t i = 0; i < half; ++i) {
        const int64_t at = t * cols + head + i;
        const double c = cos[t * half + i];
        const double s = inverse ? -sin[t * half + i] : sin[t * half + i];
        y[at] = x[at] * c - x[at + half] * s;
        y[at + half] = x[at] * s + x[at + half] * c;
      }
    }
  }
  return y;
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }

double gelu(double x, GeluKind kind) {
  const double pi = std::acos(-1.0);
  switch (kind) {
    case GeluKind::kExact: return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case GeluKind::kTanh: return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / pi) * (x + 0.044715 * x * x * x)));
    case GeluKind::kQuick: break;
  }
  return x / (1.0 + std::exp(-1.702 * x));
}

Doubles gather_rows(const Doubles& x, const std::vector<int32_t>& index, int64_t cols) {
  Doubles y;
  for (const int32_t row : index) y.insert(y.end(), x.begin() + row * cols, x.begin() + (row + 1) * cols);
  return y;
}

namespace {
int32_t segment_of(const SegmentTree& tree, int32_t token) {
  for (size_t s = 0; s < tree.segments.size(); ++s)
    if (token < tree.segments[s].start + tree.segments[s].length) return static_cast<int32_t>(s);
  return -1;
}
}  // namespace

bool sees(const SegmentTree& tree, int32_t i, int32_t j) {
  const int32_t from = segment_of(tree, i);
  const int32_t to = segment_of(tree, j);
  if (from == to) return !tree.segments[from].causal || j <= i;
  for (int32_t above = tree.segments[from].parent; above >= 0; above = tree.segments[above].parent)
    if (above == to) return true;
  return false;
}

namespace {

// What one query row of one head sees.
struct AttentionRow {
  std::vector<int64_t> keys;  // where each begins in k and v
  Doubles p;                  // exp(score − largest)
  double total = 0.0;
};

// Operands as products take them.
Doubles operand(const Doubles& x, const AttentionShape& shape, double scale = 1.0) {
  Doubles y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = x[i] * scale;
    if (shape.products == DType::kBF16) y[i] = bf16_to_f32(f32_to_bf16(static_cast<float>(y[i])));
  }
  return y;
}
double operand(double x, const AttentionShape& shape) { return operand(Doubles{x}, shape)[0]; }

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(double factor, const double* x, double* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

// q and k are operands.
AttentionRow attention_row(const Doubles& q, const Doubles& k, const SegmentTree& tree, const AttentionShape& shape,
                           int32_t token, int64_t head) {
  const int64_t d = shape.head_size;
  AttentionRow row;
  for (int32_t j = 0; j < tree.tokens; ++j)
    if (sees(tree, token, j)) row.keys.push_back((j * shape.kv_heads + head * shape.kv_heads / shape.query_heads) * d);
  for (const int64_t key : row.keys) row.p.push_back(dot(&q[(token * shape.query_heads + head) * d], &k[key], d));
  const double top = *std::max_element(row.p.begin(), row.p.end());
  for (double& p : row.p) row.total += p = std::exp(p - top);
  return row;
}

}  // namespace

Doubles attention(const Doubles& q, const Doubles& k, const Doubles& v, const SegmentTree& tree,
                  const AttentionShape& shape) {
  const int64_t d = shape.head_size;
  const Doubles q_operand = operand(q, shape, shape.scale), k_operand = operand(k, shape),
                v_operand = operand(v, shape);
  Doubles out(q.size(), 0.0);
  for (int32_t i = 0; i < tree.tokens; ++i) {
    for (int64_t h = 0; h < shape.query_heads; ++h) {
      const AttentionRow row = attention_row(q_operand, k_operand, tree, shape, i, h);
      for (size_t n = 0; n < row.keys.size(); ++n)
        add_scaled(operand(row.p[n], shape) / row.total, &v_operand[row.keys[n]], &out[(i * shape.query_heads + h) * d],
                   d);
    }
  }
  return out;
}

std::vector<Doubles> attention_grad(const Doubles& dout, const Doubles& q, const Doubles& k, const Doubles& v,
                                    const SegmentTree& tree, const AttentionShape& shape) {
  const int64_t d = shape.head_size;
  const Doubles out = attention(q, k, v, tree, shape);
  const Doubles q_operand = operand(q, shape, shape.scale), k_operand = operand(k, shape),
                v_operand = operand(v, shape);
  const Doubles dout_operand = operand(dout, shape);
  Doubles dq(q.size(), 0.0), dk(k.size(), 0.0), dv(v.size(), 0.0);
  for (int32_t i = 0; i < tree.tokens; ++i) {
    for (int64_t h = 0; h < shape.query_heads; ++h) {
      const int64_t at = (i * shape.query_heads + h) * d;
      const AttentionRow row = attention_row(q_operand, k_operand, tree, shape, i, h);
      const double delta = dot(&dout[at], &out[at], d);
      for (size_t n = 0; n < row.keys.size(); ++n) {
        const int64_t key = row.keys[n];
        const double p = row.p[n] / row.total;
        const double ds = operand(p * (dot(&dout_operand[at], &v_operand[key], d) - delta), shape);
        add_scaled(ds * shape.scale, &k_operand[key], &dq[at], d);
        add_scaled(ds, &q_operand[at], &dk[key], d);
        add_scaled(operand(p, shape), &dout_operand[at], &dv[key], d);
      }
    }
  }
  return {dq, dk, dv};
}

LogProbs log_probs(const Doubles& logits, const std::vector<int32_t>& targets, double temperature) {
  const size_t v = logits.size() / targets.size();
  LogProbs out;
  for (size_t n = 0; n < targets.size(); ++n) {
    const double* row = &logits[n * v];
    const double top = *std::max_element(row, row + v) / temperature;
    double total = 0.0;
    for (size_t i = 0; i < v; ++i) total += std::exp(row[i] / temperature - top);
    const double lse = top + std::log(total);
    double entropy = 0.0;
    for (size_t i = 0; i < v; ++i) {
      const double logp = row[i] / temperature - lse;
      entropy -= std::exp(logp) * logp;
    }
    out.logp.push_back(row[targets[n]] / temperature - lse);
    out.entropy.push_back(entropy);
  }
  return out;
}

}  // namespace vlmr1::testing::plain
