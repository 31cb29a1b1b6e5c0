// The tape: who gets a gradient, in what order gradients meet, and that nothing is kept.
#include <cmath>

#include "ops/activation.h"
#include "ops/linear.h"
#include "ops/rows.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

struct Tape {
  std::unique_ptr<Backend> backend = make_cpu_backend({2, ""});
  Graph graph{*backend, true};
  Variable leaf(uint64_t seed, const Shape& shape) {
    return Variable(to_device(*backend, random_array(seed, shape)), std::make_shared<GradSlot>());
  }
  Variable parameter(uint64_t seed, const Shape& shape) {
    const Variable v = leaf(seed, shape);
    v.slot()->grad = backend->zeros(shape);
    return v;
  }
  Variable constant(uint64_t seed, const Shape& shape) {
    return Variable(to_device(*backend, random_array(seed, shape)));
  }
  Tensor ones(const Variable& y) {
    Tensor seed = backend->empty(y.shape());
    backend->fill(seed, 1.0f);
    return seed;
  }
};

TEST(autograd_a_value_used_twice_gets_both_gradients) {
  Tape t;
  const Variable x = t.leaf(1, {3, 7});
  const Variable y = ops::swiglu(t.graph, x, x);  // silu(x)·x
  t.graph.backward(y, t.ones(y));
  const auto values = to_vector(*t.backend, x.value());
  const auto got = to_vector(*t.backend, x.slot()->grad);
  for (size_t i = 0; i < got.size(); ++i) {
    const double v = values[i];
    const double sigmoid = 1.0 / (1.0 + std::exp(-v));
    EXPECT_NEAR(got[i], 2 * v * sigmoid + v * v * sigmoid * (1 - sigmoid), 1e-5);
  }
}

// A residual and the branch beside it: the input's gradient is 1 + w's.
TEST(autograd_residual_and_branch_meet) {
  Tape t;
  const Variable x = t.leaf(1, {4, 6});
  const Variable w = t.parameter(2, {6, 6});
  const Variable y = ops::linear(t.graph, x, w, nullptr, &x);
  t.graph.backward(y, t.ones(y));
  const auto weights = to_vector(*t.backend, w.value());
  const auto got = to_vector(*t.backend, x.slot()->grad);
  for (size_t column = 0; column < 6; ++column) {
    double expected = 1.0;
    for (size_t row = 0; row < 6; ++row) expected += weights[row * 6 + column];
    for (size_t row = 0; row < 4; ++row) EXPECT_NEAR(got[row * 6 + column], expected, 1e-5);
  }
}

TEST(autograd_replaced_rows_do_not_reach_what_they_replace) {
  Tape t;
  const Variable x = t.leaf(1, {4, 2});
  const Variable rows = t.leaf(2, {1, 2});
  const Variable replaced = ops::replace_rows(t.graph, x, rows, {2});
  // The gradient that arrives is shared with a residual's: zeroing rows must not reach the other reader.
  const Variable w = t.parameter(3, {2, 2});
  const Variable y = ops::linear(t.graph, t.constant(4, {4, 2}), w, nullptr, &replaced);
  const Variable z = ops::linear(t.graph, t.constant(5, {4, 2}), w, nullptr, &y);
  t.graph.backward(z, t.ones(z));
  EXPECT_EQ(to_vector(*t.backend, x.slot()->grad), (std::vector<float>{1, 1, 1, 1, 0, 0, 1, 1}));
  EXPECT_EQ(to_vector(*t.backend, rows.slot()->grad), (std::vector<float>{1, 1}));
}

TEST(autograd_what_leads_nowhere_gets_nothing) {
  Tape t;
  const Variable x = t.leaf(1, {2, 3});
  const Variable unused = ops::gelu(t.graph, x, GeluKind::kExact);
  const Variable y = ops::reshape(t.graph, x, {6});
  t.graph.backward(y, t.ones(y));
  EXPECT_EQ(to_vector(*t.backend, x.slot()->grad), std::vector<float>(6, 1.0f));
  EXPECT_FALSE(static_cast<bool>(unused.slot()->grad));
  const Variable constant = ops::gelu(t.graph, t.constant(2, {2, 3}), GeluKind::kExact);
  EXPECT_FALSE(constant.needs_grad());
  EXPECT_ERROR(ErrorCode::kState, t.graph.backward(constant, t.ones(constant)));
}

TEST(autograd_keeps_nothing) {
  Tape t;
  const Variable x = t.leaf(1, {40, 50});
  const Variable w = t.parameter(2, {50, 50});
  const auto network = [&](Graph& graph) {
    Variable h = x;
    for (int i = 0; i < 5; ++i) h = ops::linear(graph, ops::gelu(graph, h, GeluKind::kExact), w, nullptr, &h);
    return h;
  };
  const size_t before = t.backend->memory_used();
  {
    Graph silent(*t.backend, false);
    EXPECT_FALSE(network(silent).needs_grad());
  }
  EXPECT_EQ(t.backend->memory_used(), before);
  {
    const Variable y = network(t.graph);
    EXPECT_GT(t.backend->memory_used(), before + 5 * x.value().bytes());
    t.graph.backward(y, t.ones(y));
  }
  x.slot()->grad = Tensor();
  EXPECT_EQ(t.backend->memory_used(), before);
}

}  // namespace
}  // namespace vlmr1
