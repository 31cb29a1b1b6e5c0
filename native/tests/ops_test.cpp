// Every op but attention and the elementwise ones through the harness: a line per case.
#include <cmath>
#include <numeric>

#include "core/random.h"
#include "ops/activation.h"
#include "ops/linear.h"
#include "ops/logprob.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "ops/rows.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

using Inputs = std::vector<Doubles>;
using Variables = std::vector<Variable>;

// -- Linear.

struct LinearSize {
  int64_t rows, in, out;
  bool bias = false, residual = false;
  int elements = 16, directions = 2;
};

OpCase linear_case(const LinearSize& s) {
  OpCase c;
  c.name = "linear " + Shape{s.rows, s.in, s.out}.str() + (s.bias ? " bias" : "") + (s.residual ? " residual" : "");
  c.inputs = {random_array(1, {s.rows, s.in}), random_parameter(2, {s.out, s.in})};
  if (s.bias) c.inputs.push_back(random_parameter(3, {s.out}));
  if (s.residual) c.inputs.push_back(random_array(4, {s.rows, s.out}));
  c.op = [s](Graph& graph, const Variables& in) {
    return ops::linear(graph, in[0], in[1], s.bias ? &in[2] : nullptr, s.residual ? &in.back() : nullptr);
  };
  c.reference = [s](const Inputs& in) {
    return plain::linear(in[0], in[1], s.bias ? &in[2] : nullptr, s.residual ? &in.back() : nullptr, s.rows, s.out);
  };
  c.elements = s.elements;
  c.directions = s.directions;
  c.flops = 2.0 * s.rows * s.in * s.out;
  return c;
}

TEST(ops_linear_any_number_of_rows) {
  for (int64_t rows = 1; rows <= 33; ++rows) check_op(linear_case({rows, 19, 45, rows % 2 == 1, rows % 3 == 0, 4}));
}

TEST(ops_linear_odd_sizes) {
  check_op(linear_case({1, 1, 1, true, true}));
  check_op(linear_case({2, 3, 15, true}));
  check_op(linear_case({5, 16, 16}));
  check_op(linear_case({7, 31, 17, false, true}));
  check_op(linear_case({6, 8, 33, true, true}));
  check_op(linear_case({29, 40, 64}));
  check_op(linear_case({3, 65, 31, true}));
}

// Sums longer than a block of K: of the forward pass, of the input's gradient (over `out`), of the weight's (over
// rows).
TEST(ops_linear_crosses_blocks_of_k) {
  check_op(linear_case({3, 513, 17, true}));
  check_op(linear_case({15, 600, 50, false, true, 6}));
  check_op(linear_case({33, 1100, 40, true, true, 3, 1}));
  check_op(linear_case({5, 20, 700, true}));
  check_op(linear_case({1030, 9, 21, true, true, 4}));
}

// More work than one task has, and several cuts over rows.
TEST(ops_linear_many_tasks) {
  check_op(linear_case({70, 520, 67, true, true, 2, 1}));
  check_op(linear_case({210, 300, 20, false, false, 2, 1}));
}

// -- Norms and rotation.

OpCase rms_norm_case(int64_t rows, int64_t e, float eps, double scale) {
  OpCase c;
  c.name = "rms_norm " + Shape{rows, e}.str() + " scale " + show(scale);
  c.inputs = {random_array(1, {rows, e}, scale), random_parameter(2, {e})};
  c.op = [eps](Graph& graph, const Variables& in) { return ops::rms_norm(graph, in[0], in[1], eps); };
  c.reference = [eps](const Inputs& in) { return plain::rms_norm(in[0], in[1], eps); };
  return c;
}

TEST(ops_rms_norm) {
  check_op(rms_norm_case(1, 1, 1e-6f, 1.0));
  check_op(rms_norm_case(3, 7, 1e-6f, 1.0));
  check_op(rms_norm_case(5, 16, 1e-5f, 30.0));
  check_op(rms_norm_case(9, 48, 1e-6f, 1.0));
  check_op(rms_norm_case(2, 1037, 1e-6f, 1.0));
  check_op(rms_norm_case(60, 300, 1e-6f, 1.0));
  // Where the epsilon weighs as much as the squares.
  check_op(rms_norm_case(4, 33, 1.0f, 1.0));
}

OpCase layer_norm_case(int64_t rows, int64_t e, float eps, double scale, float offset = 0.0f) {
  OpCase c;
  c.name = "layer_norm " + Shape{rows, e}.str() + " scale " + show(scale) + " offset " + show(offset);
  c.inputs = {random_array(1, {rows, e}, scale), random_parameter(2, {e}), random_parameter(3, {e})};
  for (float& x : c.inputs[0].values) x += offset;
  c.op = [eps](Graph& graph, const Variables& in) { return ops::layer_norm(graph, in[0], in[1], in[2], eps); };
  c.reference = [eps](const Inputs& in) { return plain::layer_norm(in[0], in[1], in[2], eps); };
  return c;
}

TEST(ops_layer_norm) {
  check_op(layer_norm_case(1, 1, 1e-6f, 1.0));
  check_op(layer_norm_case(3, 7, 1e-6f, 1.0));
  check_op(layer_norm_case(5, 16, 1e-5f, 30.0));
  check_op(layer_norm_case(9, 48, 1e-6f, 1.0));
  check_op(layer_norm_case(2, 1037, 1e-6f, 1.0));
  check_op(layer_norm_case(60, 300, 1e-6f, 1.0));
  check_op(layer_norm_case(4, 33, 1.0f, 1.0));
  // Far from zero, where Σx² − (Σx)² would cancel.
  check_op(layer_norm_case(6, 133, 1e-6f, 1.0, 4.0f));
}

OpCase rope_case(int64_t rows, int64_t heads, int64_t d) {
  OpCase c;
  c.name = "rope " + Shape{rows, heads, d}.str();
  c.inputs = {random_array(1, {rows, heads * d})};
  const Array cos = random_array(2, {rows, d / 2});
  const Array sin = random_array(3, {rows, d / 2});
  c.op = [cos, sin, d](Graph& graph, const Variables& in) {
    return ops::rope(graph, in[0], {to_device(graph.backend(), cos), to_device(graph.backend(), sin)}, d);
  };
  c.reference = [cos, sin, rows, d](const Inputs& in) {
    return plain::rope(in[0], to_double(cos.values), to_double(sin.values), rows, d, false);
  };
  return c;
}

TEST(ops_rope) {
  check_op(rope_case(1, 1, 2));
  check_op(rope_case(3, 2, 8));
  check_op(rope_case(5, 3, 12));
  check_op(rope_case(70, 2, 80));
  check_op(rope_case(4, 7, 128));
}

// -- Rows.

OpCase embedding_case(int64_t vocab, int64_t e, const std::vector<int32_t>& tokens) {
  OpCase c;
  c.name = "embedding " + Shape{vocab, e}.str();
  c.inputs = {random_parameter(1, {vocab, e})};
  c.op = [tokens](Graph& graph, const Variables& in) { return ops::embedding(graph, in[0], tokens); };
  c.reference = [tokens, e](const Inputs& in) { return plain::gather_rows(in[0], tokens, e); };
  return c;
}

OpCase gather_case(int64_t rows, int64_t e, const std::vector<int32_t>& index) {
  OpCase c;
  c.name = "gather_rows " + Shape{rows, e}.str();
  c.inputs = {random_array(1, {rows, e})};
  c.op = [index](Graph& graph, const Variables& in) { return ops::gather_rows(graph, in[0], index); };
  c.reference = [index, e](const Inputs& in) { return plain::gather_rows(in[0], index, e); };
  return c;
}

OpCase replace_case(int64_t rows, int64_t e, const std::vector<int32_t>& index) {
  OpCase c;
  c.name = "replace_rows " + Shape{rows, e}.str();
  c.inputs = {random_array(1, {rows, e}), random_array(2, {static_cast<int64_t>(index.size()), e})};
  c.op = [index](Graph& graph, const Variables& in) { return ops::replace_rows(graph, in[0], in[1], index); };
  c.reference = [index, e](const Inputs& in) {
    Doubles y = in[0];
    for (size_t n = 0; n < index.size(); ++n)
      for (int64_t i = 0; i < e; ++i) y[index[n] * e + i] = in[1][n * e + i];
    return y;
  };
  return c;
}

OpCase reshape_case(const Shape& from, const Shape& to) {
  OpCase c;
  c.name = "reshape " + from.str() + " " + to.str();
  c.inputs = {random_array(1, from)};
  c.op = [to](Graph& graph, const Variables& in) { return ops::reshape(graph, in[0], to); };
  c.reference = [](const Inputs& in) { return in[0]; };
  return c;
}

TEST(ops_rows) {
  check_op(embedding_case(7, 5, {6, 0, 0, 3, 6, 6}));
  check_op(embedding_case(40, 130, {39, 1, 39, 2, 0}));
  check_op(gather_case(6, 17, {5, 0, 5, 5, 2}));
  check_op(gather_case(9, 1, {8}));
  check_op(gather_case(300, 70, std::vector<int32_t>(260, 299)));
  check_op(replace_case(6, 9, {4, 0}));
  check_op(replace_case(5, 33, {0, 1, 2, 3, 4}));
  check_op(replace_case(300, 65, {299, 7, 8, 120}));
  check_op(reshape_case({6, 4}, {3, 8}));
  check_op(reshape_case({2, 3, 5}, {30}));
}

// -- Log-probabilities of the head.

OpCase head_case(int64_t rows, int64_t e, int64_t vocab, float temperature, int64_t chunk) {
  std::vector<int32_t> targets;
  for (int64_t n = 0; n < rows; ++n) targets.push_back(static_cast<int32_t>(random_bits(9, n, 0, 0) % vocab));
  targets[0] = static_cast<int32_t>(vocab - 1);
  OpCase c;
  c.name = "head_log_prob " + Shape{rows, e, vocab}.str() + " chunks of " + show(chunk);
  c.inputs = {random_array(1, {rows, e}), random_parameter(2, {vocab, e}, 0.5)};
  c.op = [targets, temperature, chunk](Graph& graph, const Variables& in) {
    return ops::head_log_prob(graph, in[0], in[1], targets, temperature, chunk).logp;
  };
  c.reference = [targets, temperature, rows, vocab](const Inputs& in) {
    return plain::log_probs(plain::linear(in[0], in[1], nullptr, nullptr, rows, vocab), targets, temperature).logp;
  };
  c.elements = 6;
  c.flops = 2.0 * rows * e * vocab;
  return c;
}

TEST(ops_head_log_prob) {
  check_op(head_case(1, 5, 3, 1.0f, 0));
  check_op(head_case(7, 24, 37, 0.7f, 3));
  check_op(head_case(9, 16, 320, 1.6f, 4));
  check_op(head_case(10, 40, 515, 1.0f, 0));
  check_op(head_case(12, 40, 100, 0.9f, 1));
}

TEST(ops_refuse_what_does_not_fit) {
  const auto backend = make_cpu_backend({1, ""});
  Graph graph(*backend, true);
  const auto tensor = [&](const Shape& shape) { return Variable(backend->zeros(shape)); };
  const Variable x = tensor({4, 6});
  const Variable bias = tensor({3});
  const Variable residual = tensor({4, 5});
  EXPECT_ERROR_WITH(ErrorCode::kShape, "[4, 6]", ops::linear(graph, x, tensor({5, 7}), nullptr, nullptr));
  EXPECT_ERROR(ErrorCode::kShape, ops::linear(graph, x, tensor({5, 6}), &bias, nullptr));
  EXPECT_ERROR(ErrorCode::kShape, ops::linear(graph, x, tensor({6, 6}), nullptr, &residual));
  EXPECT_ERROR(ErrorCode::kShape, ops::rms_norm(graph, x, tensor({5}), 1e-6f));
  EXPECT_ERROR(ErrorCode::kShape, ops::layer_norm(graph, x, tensor({5}), tensor({6}), 1e-6f));
  EXPECT_ERROR_WITH(ErrorCode::kShape, "bias [3]", ops::layer_norm(graph, x, tensor({6}), bias, 1e-6f));
  EXPECT_ERROR(ErrorCode::kShape, ops::swiglu(graph, x, tensor({6, 4})));
  EXPECT_ERROR(ErrorCode::kShape, ops::rope(graph, x, {backend->zeros({4, 2}), backend->zeros({4, 2})}, 5));
  EXPECT_ERROR(ErrorCode::kShape, ops::rope(graph, x, {backend->zeros({3, 3}), backend->zeros({3, 3})}, 6));
  EXPECT_ERROR_WITH(ErrorCode::kTokens, "got 4", ops::gather_rows(graph, x, {0, 4}));
  EXPECT_ERROR(ErrorCode::kTokens, ops::embedding(graph, x, {-1}));
  EXPECT_ERROR(ErrorCode::kTokens, ops::replace_rows(graph, x, tensor({1, 6}), {4}));
  EXPECT_ERROR(ErrorCode::kShape, ops::replace_rows(graph, x, tensor({1, 6}), {0, 1}));
  EXPECT_ERROR(ErrorCode::kShape, ops::reshape(graph, x, {5, 5}));
  EXPECT_ERROR(ErrorCode::kShape, ops::head_log_prob(graph, x, tensor({9, 6}), {0, 1, 2}, 1.0f));
  EXPECT_ERROR(ErrorCode::kTokens, ops::head_log_prob(graph, x, tensor({9, 6}), {0, 1, 2, 9}, 1.0f));
  EXPECT_ERROR(ErrorCode::kArgument, ops::head_log_prob(graph, x, tensor({9, 6}), {0, 1, 2, 3}, 0.0f));
}

// Sizes of training, too large for the plain references.
TEST(ops_speed) {
  if (!bench_wanted()) skip("VLMR1_BENCH=1 or --bench prints speeds");
  bench_op(linear_case({.rows = 8, .in = 2048, .out = 2048}));
  bench_op(linear_case({.rows = 512, .in = 2048, .out = 2048}));
  bench_op(linear_case({.rows = 512, .in = 768, .out = 3072, .bias = true, .residual = true}));
  bench_op(rms_norm_case(512, 2048, 1e-6f, 1.0));
  bench_op(layer_norm_case(512, 1280, 1e-6f, 1.0));
  bench_op(rope_case(512, 16, 128));
  bench_op(gather_case(4096, 2048, std::vector<int32_t>(512, 77)));
  bench_op(head_case(256, 768, 32000, 1.0f, 0));
}

}  // namespace
}  // namespace vlmr1
