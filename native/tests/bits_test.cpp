// The same bits: of a row alone and in a batch, of a gradient in parts and at once, of a block run again.
#include <algorithm>
#include <cstring>

#include "ops/activation.h"
#include "ops/linear.h"
#include "ops/logprob.h"
#include "ops/norm.h"
#include "ops/rows.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

// Calls body with a back end per device and number of threads.
void everywhere(const std::function<void(Backend&)>& body) {
  for (const Device& device : devices())
    for (const int threads : {1, 3}) body(*device.open(threads));
}

// `op` maps rows to rows: every cut of the batch gives its rows the bits that they have in the whole.
void expect_rows_stand_alone(Backend& backend, const char* name, const Tensor& x, int64_t out_cols,
                             const std::function<void(int64_t begin, const Tensor& part, Tensor& y)>& op) {
  const int64_t rows = x.shape()[0];
  Tensor whole = backend.empty({rows, out_cols});
  op(0, x, whole);
  for (const int64_t size : {1, 2, 5, 13, 16}) {
    for (int64_t begin = 0; begin < rows; begin += size) {
      const int64_t end = std::min(rows, begin + size);
      Tensor y = backend.empty({end - begin, out_cols});
      op(begin, x.rows(begin, end), y);
      if (!same_bits(to_vector(backend, y), to_vector(backend, whole.rows(begin, end))))
        VLMR1_REPORT(std::string(name) + " on " + backend.name() + ": rows from " + show(begin) + ", " + show(size) +
                     " at a time, have other bits");
    }
  }
}

TEST(bits_linear_rows_do_not_depend_on_the_batch) {
  everywhere([](Backend& backend) {
    for (const auto& [in, out] : {std::pair<int64_t, int64_t>{19, 45}, {600, 70}, {1025, 33}}) {
      const Tensor w = to_device(backend, random_array(2, {out, in}));
      const Tensor bias = to_device(backend, random_array(3, {out}));
      const Tensor residual = to_device(backend, random_array(4, {33, out}));
      const Tensor x = to_device(backend, random_array(1, {33, in}));
      expect_rows_stand_alone(backend, "linear", x, out, [&](int64_t begin, const Tensor& part, Tensor& y) {
        const Tensor add = residual.rows(begin, begin + part.shape()[0]);
        backend.linear(part, w, &bias, &add, y);
      });
      const Tensor dy = to_device(backend, random_array(5, {33, out}));
      expect_rows_stand_alone(backend, "linear_grad_input", dy, in, [&](int64_t, const Tensor& part, Tensor& dx) {
        backend.linear_grad_input(part, w, dx, Write::kSet);
      });
    }
  });
}

TEST(bits_rows_of_all_else_do_not_depend_on_the_batch) {
  everywhere([](Backend& backend) {
    const int64_t e = 83;
    const Tensor x = to_device(backend, random_array(1, {33, e}, 3.0));
    const Tensor weight = to_device(backend, random_array(2, {e}));
    const Tensor other = to_device(backend, random_array(3, {33, e}));
    expect_rows_stand_alone(backend, "rms_norm", x, e, [&](int64_t, const Tensor& part, Tensor& y) {
      Tensor inv_rms = backend.empty({part.shape()[0]});
      backend.rms_norm(part, weight, 1e-6f, y, inv_rms);
    });
    expect_rows_stand_alone(backend, "layer_norm", x, e, [&](int64_t, const Tensor& part, Tensor& y) {
      Tensor mean = backend.empty({part.shape()[0]});
      Tensor inv_std = backend.empty({part.shape()[0]});
      backend.layer_norm(part, weight, weight, 1e-6f, y, mean, inv_std);
    });
    expect_rows_stand_alone(backend, "swiglu", x, e, [&](int64_t begin, const Tensor& part, Tensor& y) {
      backend.swiglu(part, other.rows(begin, begin + part.shape()[0]), y);
    });
    for (const GeluKind kind : {GeluKind::kExact, GeluKind::kTanh, GeluKind::kQuick})
      expect_rows_stand_alone(backend, "gelu", x, e,
                              [&](int64_t, const Tensor& part, Tensor& y) { backend.gelu(part, kind, y); });
    expect_rows_stand_alone(backend, "token_logp", x, 1, [&](int64_t, const Tensor& part, Tensor& y) {
      const int64_t n = part.shape()[0];
      Tensor target = backend.zeros({n}, DType::kI32);
      Tensor lse = backend.empty({n});
      backend.token_logp(part, target, 0.9f, lse, y, nullptr);
    });
  });
}

// Micro-batches: gradients that are added batch by batch, in order, are those of one large batch.
TEST(bits_gradients_in_parts_are_those_at_once) {
  everywhere([](Backend& backend) {
    const int64_t rows = 1040, in = 37, out = 43;
    const Tensor x = to_device(backend, random_array(1, {rows, in}));
    const Tensor dy = to_device(backend, random_array(2, {rows, out}));
    const Tensor weight = to_device(backend, random_array(8, {in}));
    const Tensor inv_rms = to_device(backend, random_array(5, {rows}));
    std::vector<int32_t> tokens;
    for (int32_t t = 0; t < rows; ++t) tokens.push_back(t * t % 11);
    const Tensor index = ops::upload_index(backend, tokens);
    const auto accumulate = [&](const std::vector<int64_t>& cuts) {
      Tensor dw = to_device(backend, random_array(3, {out, in}));
      Tensor db = to_device(backend, random_array(4, {out}));
      Tensor dnorm = to_device(backend, random_array(6, {in}));
      Tensor dscale = to_device(backend, random_array(9, {in}));
      Tensor dshift = to_device(backend, random_array(10, {in}));
      Tensor dtable = to_device(backend, random_array(7, {11, out}));
      int64_t begin = 0;
      for (const int64_t end : cuts) {
        const Tensor dy_part = dy.rows(begin, end), x_part = x.rows(begin, end);
        Tensor dx = backend.empty(x_part.shape());
        backend.linear_grad_weight(dy_part, x_part, dw);
        backend.linear_grad_bias(dy_part, db);
        backend.rms_norm_grad(x_part, x_part, weight, inv_rms.rows(begin, end), dx, &dnorm);
        backend.layer_norm_grad(x_part, x_part, weight, inv_rms.rows(begin, end), inv_rms.rows(begin, end), dx, &dscale,
                                &dshift);
        backend.scatter_add_rows(dy_part, index.rows(begin, end), dtable);
        begin = end;
      }
      std::vector<float> all;
      for (const Tensor& gradient : {dw, db, dnorm, dscale, dshift, dtable}) {
        const auto values = to_vector(backend, gradient);
        all.insert(all.end(), values.begin(), values.end());
      }
      return all;
    };
    const auto at_once = accumulate({rows});
    EXPECT_TRUE(same_bits(accumulate({1, 2, 600, rows}), at_once));
    EXPECT_TRUE(same_bits(accumulate({512, 1024, rows}), at_once));
    EXPECT_TRUE(same_bits(accumulate({511, 513, 1039, rows}), at_once));
  });
}

struct HeadBits {
  std::vector<float> logp, entropy, dh, dw;
  bool operator==(const HeadBits& o) const {
    return same_bits(logp, o.logp) && same_bits(entropy, o.entropy) && same_bits(dh, o.dh) && same_bits(dw, o.dw);
  }
};

HeadBits head_bits(Backend& backend, int64_t chunk) {
  std::vector<int32_t> targets;
  for (int32_t n = 0; n < 23; ++n) targets.push_back(n * 13 % 301);
  Graph graph(backend, true);
  const Variable h(to_device(backend, random_array(1, {23, 20})), std::make_shared<GradSlot>());
  const Variable w(to_device(backend, random_array(2, {301, 20})), std::make_shared<GradSlot>());
  w.slot()->grad = to_device(backend, random_array(3, {301, 20}));
  const ops::HeadLogProb out = ops::head_log_prob(graph, h, w, targets, 0.8f, chunk);
  graph.backward(out.logp, to_device(backend, random_array(4, {23})));
  return {to_vector(backend, out.logp.value()), to_vector(backend, out.entropy.value()),
          to_vector(backend, h.slot()->grad), to_vector(backend, w.slot()->grad)};
}

TEST(bits_head_log_prob_does_not_depend_on_chunks) {
  everywhere([](Backend& backend) {
    const HeadBits all = head_bits(backend, 0);
    for (const int64_t chunk : {1, 2, 7, 14, 22, 23, 100}) EXPECT_TRUE(head_bits(backend, chunk) == all);
  });
}

// -- Recompute.

struct Network {
  Variable x, w1, w2, norm;
  // A residual block of all kinds of ops.
  Variable block(Graph& graph, const Variable& in) const {
    const Variable h = ops::rms_norm(graph, in, norm, 1e-6f);
    const Variable up = ops::linear(graph, h, w1, nullptr, nullptr);
    return ops::linear(graph, ops::swiglu(graph, ops::gelu(graph, up, GeluKind::kExact), up), w2, nullptr, &in);
  }
};

std::vector<float> network_bits(Backend& backend, bool x_needs_grad,
                                const std::function<Variable(Graph&, const Network&)>& run) {
  const auto leaf = [&](uint64_t seed, const Shape& shape, bool parameter) {
    Variable v(to_device(backend, random_array(seed, shape)), std::make_shared<GradSlot>());
    if (parameter) v.slot()->grad = backend.zeros(shape);
    return v;
  };
  Network net{leaf(1, {9, 20}, false), leaf(2, {41, 20}, true), leaf(3, {20, 41}, true), leaf(4, {20}, true)};
  if (!x_needs_grad) net.x = Variable(net.x.value());
  Graph graph(backend, true);
  const Variable y = run(graph, net);
  std::vector<float> all = to_vector(backend, y.value());
  graph.backward(y, to_device(backend, random_array(5, y.shape())));
  for (const Variable* v : {&net.x, &net.w1, &net.w2, &net.norm}) {
    if (!v->needs_grad()) continue;
    const auto gradient = to_vector(backend, v->slot()->grad);
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

TEST(bits_recompute_changes_nothing) {
  const auto block = [](const Network& net) {
    return [&net](Graph& graph, const Variable& in) { return net.block(graph, in); };
  };
  everywhere([&](Backend& backend) {
    for (const bool x_needs_grad : {true, false}) {
      const auto expected = network_bits(backend, x_needs_grad, [&](Graph& graph, const Network& net) {
        return net.block(graph, net.block(graph, net.x));
      });
      EXPECT_TRUE(same_bits(network_bits(backend, x_needs_grad,
                                         [&](Graph& graph, const Network& net) {
                                           return recompute(graph, recompute(graph, net.x, block(net)), block(net));
                                         }),
                            expected));
      // A block within a block.
      EXPECT_TRUE(same_bits(network_bits(backend, x_needs_grad,
                                         [&](Graph& graph, const Network& net) {
                                           return recompute(graph, net.x, [&](Graph& inner, const Variable& in) {
                                             return recompute(inner, net.block(inner, in), block(net));
                                           });
                                         }),
                            expected));
    }
  });
}

TEST(bits_recompute_keeps_less) {
  const auto backend = make_cpu_backend({1, ""});
  const auto kept = [&](bool again) {
    size_t used = 0;
    network_bits(*backend, true, [&](Graph& graph, const Network& net) {
      const size_t before = backend->memory_used();
      Variable h = net.x;
      for (int i = 0; i < 8; ++i) {
        const auto block = [&net](Graph& g, const Variable& in) { return net.block(g, in); };
        h = again ? recompute(graph, h, block) : block(graph, h);
      }
      used = backend->memory_used() - before;
      return h;
    });
    return used;
  };
  EXPECT_LT(3 * kept(true), kept(false));
}

// -- Parameters are packed once per update.

TEST(bits_packed_parameters_follow_their_values) {
  everywhere([](Backend& backend) {
    const Array first = random_array(1, {45, 30});
    const Array second = random_array(2, {45, 30});
    const Tensor x = to_device(backend, random_array(3, {4, 30}));
    const auto run = [&](const Tensor& w) {
      Tensor y = backend.empty({4, 45});
      backend.linear(x, w, nullptr, nullptr, y);
      return to_vector(backend, y);
    };
    Tensor w = to_device(backend, first);
    w.storage()->persistent = true;
    const auto expected_first = run(to_device(backend, first));
    const auto expected_second = run(to_device(backend, second));
    EXPECT_TRUE(same_bits(run(w), expected_first));
    EXPECT_TRUE(same_bits(run(w), expected_first));
    backend.upload(w, second.values.data());
    w.storage()->version++;
    EXPECT_TRUE(same_bits(run(w), expected_second));
    // Another parameter where one was before, written as often.
    const void* place = w.raw();
    const uint64_t version = w.storage()->version;
    w = Tensor();
    w = to_device(backend, first);
    w.storage()->persistent = true;
    w.storage()->version = version;
    EXPECT_EQ(w.raw(), place);
    EXPECT_TRUE(same_bits(run(w), expected_first));
  });
}

}  // namespace
}  // namespace vlmr1
