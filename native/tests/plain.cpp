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

Doubles attention(const Doubles& q, const Doubles& k, const Doubles& v, const SegmentTree& tree,
                  const AttentionShape& shape) {
  const int64_t d = shape.head_size;
  const int64_t heads = shape.query_heads;
  const int64_t group = heads / shape.kv_heads;
  Doubles out(q.size(), 0.0);
  for (int32_t i = 0; i < tree.tokens; ++i) {
    std::vector<int32_t> keys;
    for (int32_t j = 0; j < tree.tokens; ++j)
      if (sees(tree, i, j)) keys.push_back(j);
    for (int64_t h = 0; h < heads; ++h) {
      const double* query = &q[(i * heads + h) * d];
      Doubles scores;
      for (const int32_t j : keys) {
        const double* key = &k[(j * shape.kv_heads + h / group) * d];
        double dot = 0.0;
        for (int64_t c = 0; c < d; ++c) dot += query[c] * key[c];
        scores.push_back(dot * shape.scale);
      }
      const double top = *std::max_element(scores.begin(), scores.end());
      double total = 0.0;
      for (double& s : scores) total += s = std::exp(s - top);
      for (size_t n = 0; n < keys.size(); ++n)
        for (int64_t c = 0; c < d; ++c)
          out[(i * heads + h) * d + c] += scores[n] / total * v[(keys[n] * shape.kv_heads + h / group) * d + c];
    }
  }
  return out;
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
