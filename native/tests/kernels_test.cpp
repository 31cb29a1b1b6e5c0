// Kernels that no op reaches in all their forms: in place, adding, without optional outputs, on nothing at all.
#include <cmath>
#include <limits>

#include "core/random.h"
#include "ops/rows.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

using Tensors = std::vector<Tensor>;
using Arrays = std::vector<Doubles>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Array filled(const Shape& shape, float value) {
  return {shape, std::vector<float>(static_cast<size_t>(shape.numel()), value), false};
}

TEST(kernels_add) {
  for (const int64_t n : {1, 15, 16, 17, 40'000}) {
    check_kernel({"add",
                  {random_array(1, {n}), random_array(2, {n}), filled({n}, kNaN)},
                  [](Backend& b, Tensors& t) { b.add(t[0], t[1], t[2]); },
                  [](Arrays& a) {
                    for (size_t i = 0; i < a[0].size(); ++i) a[2][i] = a[0][i] + a[1][i];
                  }});
    check_kernel({"add in place",
                  {random_array(1, {n}), random_array(2, {n})},
                  [](Backend& b, Tensors& t) { b.add(t[0], t[1], t[0]); },
                  [](Arrays& a) {
                    for (size_t i = 0; i < a[0].size(); ++i) a[0][i] += a[1][i];
                  }});
  }
}

TEST(kernels_fill_copy_zero) {
  const Array x = random_array(1, {7, 5});
  check_kernel({"fill",
                {x},
                [](Backend& b, Tensors& t) { b.fill(t[0], 2.5f); },
                [](Arrays& a) { a[0].assign(a[0].size(), 2.5); }});
  check_kernel({"copy",
                {x, filled({35}, kNaN)},
                [](Backend& b, Tensors& t) { b.copy(t[0], t[1]); },
                [](Arrays& a) { a[1] = a[0]; }});
  check_kernel({"zero_rows",
                {x},
                [](Backend& b, Tensors& t) {
                  b.zero_rows(ops::upload_index(b, {6, 0, 6}), t[0]);
                },
                [](Arrays& a) {
                  for (const size_t row : {0, 6})
                    for (size_t i = 0; i < 5; ++i) a[0][row * 5 + i] = 0.0;
                }});
}

TEST(kernels_rows_by_index) {
  const std::vector<int32_t> repeats{2, 0, 2, 2, 5};
  for (const int64_t cols : {1, 16, 67, 200}) {
    check_kernel({"scatter_add_rows",
                  {random_array(1, {5, cols}), random_array(2, {6, cols})},
                  [=](Backend& b, Tensors& t) { b.scatter_add_rows(t[0], ops::upload_index(b, repeats), t[1]); },
                  [=](Arrays& a) {
                    for (size_t n = 0; n < repeats.size(); ++n)
                      for (int64_t i = 0; i < cols; ++i) a[1][repeats[n] * cols + i] += a[0][n * cols + i];
                  }});
    check_kernel({"scatter_rows",
                  {random_array(1, {3, cols}), random_array(2, {6, cols})},
                  [](Backend& b, Tensors& t) {
                    b.scatter_rows(t[0], ops::upload_index(b, {5, 0, 3}), t[1]);
                  },
                  [=](Arrays& a) {
                    const size_t rows[] = {5, 0, 3};
                    for (size_t n = 0; n < 3; ++n)
                      for (int64_t i = 0; i < cols; ++i) a[1][rows[n] * cols + i] = a[0][n * cols + i];
                  }});
  }
}

TEST(kernels_rope_turns_back) {
  for (const int64_t d : {2, 12, 80}) {
    const int64_t half = d / 2;
    check_kernel({"rope inverse",
                  {random_array(1, {5, 3 * d}), random_array(2, {5, half}), random_array(3, {5, half}),
                   filled({5, 3 * d}, kNaN)},
                  [=](Backend& b, Tensors& t) { b.rope(t[0], t[1], t[2], d, true, t[3]); },
                  [=](Arrays& a) { a[3] = plain::rope(a[0], a[1], a[2], 5, d, true); }});
    Array cos = random_array(2, {5, half});
    Array sin = cos;
    for (size_t i = 0; i < cos.values.size(); ++i) {
      sin.values[i] = std::sin(cos.values[i]);
      cos.values[i] = std::cos(cos.values[i]);
    }
    check_kernel({"rope there and back",
                  {random_array(1, {5, 3 * d}), cos, sin, filled({5, 3 * d}, kNaN)},
                  [=](Backend& b, Tensors& t) {
                    Tensor turned = b.empty(t[0].shape());
                    b.rope(t[0], t[1], t[2], d, false, turned);
                    b.rope(turned, t[1], t[2], d, true, t[3]);
                  },
                  [](Arrays& a) { a[3] = a[0]; }});
  }
}

TEST(kernels_linear_gradients_set_and_add) {
  const int64_t m = 9, n = 35, k = 21;
  const auto dx_plus = [=](const Arrays& a, double start) {
    Doubles dx(static_cast<size_t>(m * k));
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        double sum = start * a[2][i * k + j];
        for (int64_t l = 0; l < n; ++l) sum += a[0][i * n + l] * a[1][l * k + j];
        dx[i * k + j] = sum;
      }
    }
    return dx;
  };
  const std::vector<Array> arrays{random_array(1, {m, n}), random_array(2, {n, k}), random_array(3, {m, k})};
  check_kernel({"linear_grad_input adds", arrays,
                [](Backend& b, Tensors& t) { b.linear_grad_input(t[0], t[1], t[2], Write::kAdd); },
                [=](Arrays& a) { a[2] = dx_plus(a, 1.0); }});
  check_kernel({"linear_grad_input sets", arrays,
                [](Backend& b, Tensors& t) { b.linear_grad_input(t[0], t[1], t[2], Write::kSet); },
                [=](Arrays& a) { a[2] = dx_plus(a, 0.0); }});
  check_kernel({"linear_grad_bias adds",
                {random_array(1, {m, 150}), random_array(2, {150})},
                [](Backend& b, Tensors& t) { b.linear_grad_bias(t[0], t[1]); },
                [=](Arrays& a) {
                  for (size_t i = 0; i < a[0].size(); ++i) a[1][i % 150] += a[0][i];
                }});
}

// A batch may hold no picture, a micro-batch no scored token.
TEST(kernels_work_on_nothing) {
  check_kernel({"no rows",
                {random_array(1, {7, 5}), random_array(2, {7}), random_array(3, {5})},
                [](Backend& b, Tensors& t) {
                  Tensor x = b.empty({0, 5});
                  Tensor y = b.empty({0, 7});
                  Tensor none = b.empty({0});
                  Tensor index = b.empty({0}, DType::kI32);
                  b.linear(x, t[0], &t[1], nullptr, y);
                  b.linear_grad_input(y, t[0], x, Write::kSet);
                  b.linear_grad_weight(y, x, t[0]);
                  b.linear_grad_bias(y, t[1]);
                  b.rms_norm(x, t[2], 1e-6f, x, none);
                  b.rms_norm_grad(x, x, t[2], none, x, &t[2]);
                  b.layer_norm(x, t[2], t[2], 1e-6f, x, none, none);
                  b.layer_norm_grad(x, x, t[2], none, none, x, &t[2], &t[2]);
                  b.gather_rows(t[0], index, x);
                  b.scatter_add_rows(x, index, t[0]);
                  b.swiglu(x, x, x);
                  b.gelu(x, GeluKind::kExact, x);
                  b.scale(x, 2.0f, x);
                  b.dropout(x, 0.5f, 1, 2, x);
                  b.token_logp(x, index, 1.0f, none, none, nullptr);
                },
                [](Arrays&) {}});
}

TEST(kernels_rms_norm_of_frozen_weights) {
  const int64_t rows = 6, e = 37;
  check_kernel({"rms_norm_grad",
                {random_array(1, {rows, e}), random_array(2, {rows, e}), random_array(3, {e}), filled({rows}, kNaN),
                 filled({rows, e}, kNaN)},
                [](Backend& b, Tensors& t) {
                  Tensor y = b.empty(t[0].shape());
                  b.rms_norm(t[1], t[2], 1e-6f, y, t[3]);
                  b.rms_norm_grad(t[0], t[1], t[2], t[3], t[4], nullptr);
                },
                [=](Arrays& a) {
                  for (int64_t r = 0; r < rows; ++r) {
                    double squares = 0.0, dot = 0.0;
                    for (int64_t i = 0; i < e; ++i) squares += a[1][r * e + i] * a[1][r * e + i];
                    const double inverse = 1.0 / std::sqrt(squares / e + 1e-6);
                    for (int64_t i = 0; i < e; ++i) dot += a[0][r * e + i] * a[2][i] * a[1][r * e + i] * inverse;
                    a[3][r] = inverse;
                    for (int64_t i = 0; i < e; ++i)
                      a[4][r * e + i] = inverse * (a[0][r * e + i] * a[2][i] - a[1][r * e + i] * inverse * dot / e);
                  }
                }});
}

TEST(kernels_token_logp) {
  for (const int64_t v : {1, 2, 16, 37, 320, 5003}) {
    const std::vector<int32_t> targets{0, static_cast<int32_t>(v - 1), static_cast<int32_t>(v / 2)};
    for (const float temperature : {1.0f, 0.7f, 2.5f}) {
      check_kernel({"token_logp",
                    {random_array(1, {3, v}, 3.0), filled({3}, kNaN), filled({3}, kNaN)},
                    [=](Backend& b, Tensors& t) {
                      Tensor lse = b.empty({3});
                      b.token_logp(t[0], ops::upload_index(b, targets), temperature, lse, t[1], &t[2]);
                    },
                    [=](Arrays& a) {
                      const plain::LogProbs p = plain::log_probs(a[0], targets, temperature);
                      a[1] = p.logp;
                      a[2] = p.entropy;
                    },
                    4e-6});
    }
  }
}

// Where e^x of the logits themselves would be 0 or infinite.
TEST(kernels_token_logp_far_from_zero) {
  for (const float offset : {-300.0f, 300.0f}) {
    Array logits = random_array(1, {1, 37}, 2.0);
    for (float& z : logits.values) z += offset;
    check_kernel({"token_logp",
                  {logits, filled({1}, kNaN), filled({1}, kNaN)},
                  [](Backend& b, Tensors& t) {
                    Tensor lse = b.empty({1});
                    b.token_logp(t[0], ops::upload_index(b, {5}), 1.0f, lse, t[1], &t[2]);
                  },
                  [](Arrays& a) {
                    const plain::LogProbs p = plain::log_probs(a[0], {5}, 1.0);
                    a[1] = p.logp;
                    a[2] = p.entropy;
                  },
                  3e-5});
  }
}

KernelCase adamw_case(int64_t n, float weight_decay, float grad_scale) {
  // Of the third step, with a rate so high that every part of the update weighs.
  const AdamWStep step{0.25f, 0.9f, 0.99f, 1e-3f, weight_decay, 1.0f - 0.729f, 1.0f - 0.970299f, grad_scale};
  Array squares = random_array(4, {n});
  for (float& v : squares.values) v *= v;
  return {"adamw",
          {random_array(1, {n}), random_array(2, {n}), random_array(3, {n}), squares},
          [=](Backend& b, Tensors& t) {
            b.adamw(step, {t[0], t[1], {}, {t[2], {}}, {t[3], {}}});
          },
          [=](Arrays& a) {
            for (size_t i = 0; i < a[0].size(); ++i) {
              const double g = a[0][i] * step.grad_scale;
              a[1][i] *= 1.0 - double{step.learning_rate} * step.weight_decay;
              a[2][i] = step.beta1 * a[2][i] + (1.0 - step.beta1) * g;
              a[3][i] = step.beta2 * a[3][i] + (1.0 - step.beta2) * g * g;
              const double root = std::sqrt(a[3][i]) / std::sqrt(double{step.bias_correction2}) + step.epsilon;
              a[1][i] -= step.learning_rate / step.bias_correction1 * a[2][i] / root;
              a[0][i] = 0.0;
            }
          }};
}

TEST(kernels_adamw) {
  check_kernel(adamw_case(1, 0.0f, 1.0f));
  check_kernel(adamw_case(19, 0.1f, 0.3f));
  check_kernel(adamw_case(70'001, 0.5f, 1.0f));
}

TEST(kernels_sum_squares) {
  for (const int64_t n : {0, 1, 17, 32'768, 100'003}) {
    const Array x = random_array(1, {n});
    double expected = 0.0;
    for (const float v : x.values) expected += double{v} * v;
    for (const Device& device : devices()) {
      const double one = device.open(1)->sum_squares(to_device(*device.open(1), x));
      EXPECT_NEAR(one, expected, expected * 1e-13);
      EXPECT_EQ(device.open(3)->sum_squares(to_device(*device.open(3), x)), one);
    }
  }
}

// A loss that diverged must be seen, not smoothed over.
TEST(kernels_let_nan_and_infinity_through) {
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    for (const int64_t at : {0, 20, 36}) {
      for (const float bad : {kNaN, kInfinity, -kInfinity}) {
        Array x = random_array(1, {1, 37});
        x.values[at] = bad;
        const Tensor in = to_device(*backend, x);
        EXPECT_FALSE(std::isfinite(backend->sum_squares(in)));
        Tensor y = backend->empty(in.shape());
        Tensor one = backend->empty({1});
        backend->rms_norm(in, to_device(*backend, filled({37}, 1.0f)), 1e-6f, y, one);
        EXPECT_TRUE(std::isnan(to_vector(*backend, y)[at]));
        Tensor up = to_device(*backend, filled({1, 37}, 1.0f));
        backend->swiglu(in, up, y);
        const float through = to_vector(*backend, y)[at];
        EXPECT_TRUE(!std::isfinite(through) || (bad == -kInfinity && through == 0.0f));
        for (const GeluKind kind : {GeluKind::kExact, GeluKind::kTanh, GeluKind::kQuick}) {
          backend->gelu(in, kind, y);
          EXPECT_FALSE(bad != -kInfinity && std::isfinite(to_vector(*backend, y)[at]));
        }
        backend->layer_norm(in, up, up, 1e-6f, y, one, one);
        EXPECT_TRUE(std::isnan(to_vector(*backend, y)[at]));
        Tensor lse = backend->empty({1});
        backend->token_logp(in, ops::upload_index(*backend, {3}), 1.0f, lse, one, nullptr);
        // Minus infinity is a token that cannot come; the others are as they would be without it.
        EXPECT_EQ(std::isfinite(to_vector(*backend, one)[0]), bad == -kInfinity);
      }
    }
  }
}

}  // namespace
}  // namespace vlmr1
