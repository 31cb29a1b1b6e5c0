// Elementwise ops through the harness: a line per case.
#include <cmath>

#include "core/random.h"
#include "ops/activation.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

using Inputs = std::vector<Doubles>;
using Variables = std::vector<Variable>;

OpCase swiglu_case(int64_t rows, int64_t cols, double scale) {
  OpCase c;
  c.name = "swiglu " + Shape{rows, cols}.str();
  c.inputs = {random_array(1, {rows, cols}, scale), random_array(2, {rows, cols})};
  c.op = [](Graph& graph, const Variables& in) { return ops::swiglu(graph, in[0], in[1]); };
  c.reference = [](const Inputs& in) {
    Doubles y(in[0].size());
    for (size_t i = 0; i < y.size(); ++i) y[i] = plain::silu(in[0][i]) * in[1][i];
    return y;
  };
  c.elements = rows * cols > 1000 ? 4 : 16;
  return c;
}

OpCase gelu_case(int64_t rows, int64_t cols, double scale, GeluKind kind = GeluKind::kExact) {
  OpCase c;
  c.name = "gelu " + Shape{rows, cols}.str() + " kind " + show(static_cast<int>(kind));
  c.inputs = {random_array(1, {rows, cols}, scale)};
  c.op = [kind](Graph& graph, const Variables& in) { return ops::gelu(graph, in[0], kind); };
  c.reference = [kind](const Inputs& in) {
    Doubles y(in[0].size());
    for (size_t i = 0; i < y.size(); ++i) y[i] = plain::gelu(in[0][i], kind);
    return y;
  };
  c.elements = rows * cols > 1000 ? 4 : 16;
  return c;
}

TEST(elementwise_activations) {
  for (const int64_t cols : {1, 3, 15, 16, 17, 33}) check_op(swiglu_case(2, cols, 2.0));
  check_op(swiglu_case(33, 1001, 4.0));
  check_op(swiglu_case(1, 64, 60.0));
}

TEST(elementwise_gelu) {
  for (const GeluKind kind : {GeluKind::kExact, GeluKind::kTanh, GeluKind::kQuick}) {
    for (const int64_t cols : {1, 3, 15, 16, 17, 33}) check_op(gelu_case(2, cols, 2.0, kind));
    check_op(gelu_case(37, 1001, 4.0, kind));
    check_op(gelu_case(1, 64, 60.0, kind));
  }
}

OpCase scale_case(const Shape& shape, float factor) {
  OpCase c;
  c.name = "scale " + shape.str() + " by " + show(factor);
  c.inputs = {random_array(1, shape)};
  c.op = [factor](Graph& graph, const Variables& in) { return ops::scale(graph, in[0], factor); };
  c.reference = [factor](const Inputs& in) {
    Doubles y = in[0];
    for (double& v : y) v *= factor;
    return y;
  };
  c.elements = 4;
  return c;
}

OpCase dropout_case(const Shape& shape, float p, uint64_t seed, uint64_t stream) {
  OpCase c;
  c.name = "dropout " + shape.str() + " of " + show(p);
  c.inputs = {random_array(1, shape)};
  c.op = [=](Graph& graph, const Variables& in) { return ops::dropout(graph, in[0], p, seed, stream); };
  c.reference = [=](const Inputs& in) {
    Doubles y = in[0];
    for (size_t i = 0; i < y.size(); ++i) y[i] *= random_uniform(seed, stream, i, 0) < p ? 0.0 : 1.0 / (1.0 - p);
    return y;
  };
  c.elements = 8;
  return c;
}

TEST(elementwise_scale_and_dropout) {
  for (const int64_t cols : {1, 15, 16, 17}) check_op(scale_case({2, cols}, -1.75f));
  check_op(scale_case({41, 1001}, 0.3f));
  check_op(dropout_case({3, 11}, 0.5f, 7, 0));
  check_op(dropout_case({13, 1001}, 0.1f, 7, 3));
  check_op(dropout_case({2, 9}, 0.99f, 1, 1ull << 40));
}

TEST(elementwise_dropout_of_nothing_is_the_input_itself) {
  const auto backend = make_cpu_backend({1, ""});
  Graph graph(*backend, true);
  const Variable x(backend->zeros({3, 4}), std::make_shared<GradSlot>());
  const Variable y = ops::dropout(graph, x, 0.0f, 1, 2);
  EXPECT_TRUE(y.slot() == x.slot());
  EXPECT_TRUE(y.value().raw() == x.value().raw());
  for (const float p : {-0.1f, 1.0f, std::nanf("")})
    EXPECT_ERROR_WITH(ErrorCode::kArgument, "[0, 1)", ops::dropout(graph, x, p, 1, 2));
}

// The share that stays is 1 − p, and two streams or seeds choose apart from each other.
TEST(elementwise_dropout_masks_are_fair_and_apart) {
  const auto backend = make_cpu_backend({2, ""});
  Graph graph(*backend, false);
  Tensor ones = backend->empty({40'000});
  backend->fill(ones, 1.0f);
  const auto kept = [&](uint64_t seed, uint64_t stream) {
    return to_vector(*backend, ops::dropout(graph, Variable(ones), 0.25f, seed, stream).value());
  };
  const auto base = kept(5, 1);
  for (const auto& other : {kept(5, 2), kept(6, 1), base}) {
    double share = 0.0, both = 0.0;
    for (size_t i = 0; i < base.size(); ++i) {
      share += other[i] > 0.0f ? 1.0 / 40'000 : 0.0;
      both += base[i] > 0.0f && other[i] > 0.0f ? 1.0 / 40'000 : 0.0;
    }
    EXPECT_NEAR(share, 0.75, 0.01);
    EXPECT_NEAR(both, other == base ? 0.75 : 0.75 * 0.75, 0.01);
  }
}

TEST(elementwise_speed) {
  if (!bench_wanted()) skip("VLMR1_BENCH=1 or --bench prints speeds");
  bench_op(swiglu_case(512, 8192, 1.0));
  for (const GeluKind kind : {GeluKind::kExact, GeluKind::kTanh, GeluKind::kQuick})
    bench_op(gelu_case(512, 4096, 1.0, kind));
  bench_op(scale_case({512, 4096}, 0.5f));
  bench_op(dropout_case({512, 4096}, 0.1f, 1, 2));
}

}  // namespace
}  // namespace vlmr1
