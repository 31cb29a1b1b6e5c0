// Products in bf16, the gated pair of products, and how the work is cut: none of it may show in the numbers.
#include <cmath>

#include "ops/activation.h"
#include "ops/linear.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

using Inputs = std::vector<Doubles>;
using Variables = std::vector<Variable>;

constexpr ProductTypes kBF16Products{DType::kBF16, DType::kBF16};

struct Sizes {
  int64_t rows, in, out;
};

// Full tiles and remainders of every instruction set, several blocks of each axis, odd depths.
const std::vector<Sizes> kSizes = {{1, 1, 1},      {1, 37, 40},    {2, 64, 33},    {15, 19, 45},   {29, 40, 64},
                                   {97, 129, 70},  {300, 65, 17},  {33, 5000, 35}, {5, 4097, 300}, {200, 600, 130},
                                   {64, 16, 1030}, {1300, 33, 40}, {3, 2049, 31}};

Doubles rounded(const std::vector<float>& values) {
  Doubles out;
  for (const float x : values) out.push_back(bf16_to_f32(f32_to_bf16(x)));
  return out;
}

Tensor weight(Backend& backend, const Array& array, ProductTypes products) {
  Tensor w = to_device(backend, array);
  w.storage()->products = products;
  w.storage()->persistent = true;
  return w;
}

// [out, in] in bf16 with f32's numbers, as a trained model's copies are.
Tensor bf16_copy(Backend& backend, const Array& array) {
  Tensor w = backend.empty(array.shape, DType::kBF16);
  backend.convert(to_device(backend, array), w);
  w.storage()->products = kBF16Products;
  w.storage()->persistent = true;
  return w;
}

TEST(products_in_bf16_round_both_operands) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    for (const Sizes& s : kSizes) {
      const Array x = random_array(1, {s.rows, s.in});
      const Array w = random_array(2, {s.out, s.in});
      const Array dy = random_array(3, {s.rows, s.out});
      const Array start = random_array(4, {s.out, s.in});
      const Doubles rx = rounded(x.values), rw = rounded(w.values), rdy = rounded(dy.values);
      Doubles dx(x.values.size()), dw = to_double(start.values);
      for (int64_t t = 0; t < s.rows; ++t) {
        for (int64_t o = 0; o < s.out; ++o) {
          for (int64_t i = 0; i < s.in; ++i) {
            dx[t * s.in + i] += rdy[t * s.out + o] * rw[o * s.in + i];
            dw[o * s.in + i] += rdy[t * s.out + o] * rx[t * s.in + i];
          }
        }
      }
      for (const Tensor& held : {weight(*backend, w, kBF16Products), bf16_copy(*backend, w)}) {
        Tensor y = backend->empty({s.rows, s.out});
        Tensor got_dx = backend->empty({s.rows, s.in});
        Tensor got_dw = to_device(*backend, start);
        got_dw.storage()->products = kBF16Products;
        backend->linear(to_device(*backend, x), held, nullptr, nullptr, y);
        backend->linear_grad_input(to_device(*backend, dy), held, got_dx, Write::kSet);
        backend->linear_grad_weight(to_device(*backend, dy), to_device(*backend, x), got_dw);
        EXPECT_TRUE(relative_error(to_vector(*backend, y), plain::linear(rx, rw, nullptr, nullptr, s.rows, s.out)) <
                    3e-6);
        EXPECT_TRUE(relative_error(to_vector(*backend, got_dx), dx) < 3e-6);
        EXPECT_TRUE(relative_error(to_vector(*backend, got_dw), dw) < 3e-6);
      }
    }
  }
}

// A weight whose file has left the memory is read out of its panels in the backward pass.
TEST(products_of_discarded_weights_are_the_same) {
  for (const Device& device : devices()) {
    const auto backend = device.open(3);
    for (const Sizes& s : kSizes) {
      const Array w = random_array(2, {s.out, s.in});
      const Tensor dy = to_device(*backend, random_array(3, {s.rows, s.out}));
      std::vector<uint16_t> bits(w.values.size());
      for (size_t i = 0; i < bits.size(); ++i) bits[i] = f32_to_bf16(w.values[i]);
      const auto scramble = [&bits](const void*, size_t) { std::fill(bits.begin(), bits.end(), uint16_t{0x7fc0}); };
      const Tensor mapped =
          backend->adopt({bits.data(), bits.size() * 2, nullptr, scramble}, w.shape, DType::kBF16, kBF16Products);
      Tensor dx = backend->empty({s.rows, s.in});
      Tensor expected = backend->empty({s.rows, s.in});
      backend->linear_grad_input(dy, mapped, dx, Write::kSet);
      backend->linear_grad_input(dy, bf16_copy(*backend, w), expected, Write::kSet);
      EXPECT_TRUE(same_bits(to_vector(*backend, dx), to_vector(*backend, expected)));
    }
  }
}

TEST(products_in_bf16_of_a_row_do_not_depend_on_the_batch) {
  for (const Device& device : devices()) {
    const auto one = device.open(1);
    const auto three = device.open(3);
    for (const Sizes& s : kSizes) {
      const Array x = random_array(1, {s.rows, s.in});
      const Array w = random_array(2, {s.out, s.in});
      const Tensor single = bf16_copy(*one, w);
      const Tensor shared = bf16_copy(*three, w);
      Tensor y = three->empty({s.rows, s.out});
      three->linear(to_device(*three, x), shared, nullptr, nullptr, y);
      const std::vector<float> all = to_vector(*three, y);
      const Tensor on_one = to_device(*one, x);
      for (const int64_t row : {int64_t{0}, s.rows / 2, s.rows - 1}) {
        Tensor alone = one->empty({1, s.out});
        one->linear(on_one.rows(row, row + 1), single, nullptr, nullptr, alone);
        const std::vector<float> part(all.begin() + row * s.out, all.begin() + (row + 1) * s.out);
        EXPECT_TRUE(same_bits(to_vector(*one, alone), part));
      }
    }
  }
}

OpCase gated_case(const Sizes& s, bool bias) {
  OpCase c;
  c.name = "linear_swiglu " + Shape{s.rows, s.in, s.out}.str() + (bias ? " bias" : "");
  const double scale = 1.0 / std::sqrt(static_cast<double>(s.in));
  c.inputs = {random_array(1, {s.rows, s.in}), random_parameter(2, {s.out, s.in}, scale),
              random_parameter(3, {s.out, s.in}, scale)};
  if (bias) c.inputs.insert(c.inputs.end(), {random_parameter(4, {s.out}), random_parameter(5, {s.out})});
  c.op = [bias](Graph& graph, const Variables& in) {
    return ops::linear_swiglu(graph, in[0], {in[1], bias ? in[3] : Variable()}, {in[2], bias ? in[4] : Variable()});
  };
  c.reference = [s, bias](const Inputs& in) {
    Doubles gate = plain::linear(in[0], in[1], bias ? &in[3] : nullptr, nullptr, s.rows, s.out);
    const Doubles up = plain::linear(in[0], in[2], bias ? &in[4] : nullptr, nullptr, s.rows, s.out);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
    return gate;
  };
  return c;
}

TEST(products_gated) {
  for (const Sizes& s : {Sizes{1, 3, 1}, {2, 16, 33}, {15, 40, 70}, {45, 19, 300}, {130, 30, 17}}) {
    check_op(gated_case(s, false));
    check_op(gated_case(s, true));
  }
}

TEST(products_gated_have_the_bits_of_their_parts) {
  for (const Device& device : devices()) {
    const auto backend = device.open(3);
    for (const ProductTypes types : {ProductTypes{}, ProductTypes{DType::kBF16, DType::kF32}, kBF16Products}) {
      for (const Sizes& s : kSizes) {
        const Tensor x = to_device(*backend, random_array(1, {s.rows, s.in}));
        const Tensor gate = weight(*backend, random_array(2, {s.out, s.in}, 0.1), types);
        const Tensor up = weight(*backend, random_array(3, {s.out, s.in}, 0.1), types);
        const Tensor bias = to_device(*backend, random_array(4, {s.out}));
        Tensor g = backend->empty({s.rows, s.out}), u = backend->empty(g.shape()), y = backend->empty(g.shape());
        Tensor part = backend->empty(g.shape()), other = backend->empty(g.shape()), whole = backend->empty(g.shape());
        backend->linear_swiglu(x, {&gate, &up, &bias, nullptr}, g, u, y);
        backend->linear(x, gate, &bias, nullptr, part);
        backend->linear(x, up, nullptr, nullptr, other);
        backend->swiglu(part, other, whole);
        EXPECT_TRUE(same_bits(to_vector(*backend, g), to_vector(*backend, part)));
        EXPECT_TRUE(same_bits(to_vector(*backend, u), to_vector(*backend, other)));
        EXPECT_TRUE(same_bits(to_vector(*backend, y), to_vector(*backend, whole)));
      }
    }
  }
}

TEST(products_gated_refuse_what_does_not_fit) {
  const auto backend = make_cpu_backend({1, ""});
  Graph graph(*backend, false);
  const auto variable = [&](const Shape& shape) { return Variable(backend->zeros(shape)); };
  EXPECT_ERROR(ErrorCode::kShape,
               ops::linear_swiglu(graph, variable({2, 3}), {variable({4, 3}), {}}, {variable({5, 3}), {}}));
  EXPECT_ERROR(ErrorCode::kShape,
               ops::linear_swiglu(graph, variable({2, 3}), {variable({4, 2}), {}}, {variable({4, 2}), {}}));
  EXPECT_ERROR(ErrorCode::kShape,
               ops::linear_swiglu(graph, variable({2, 3}), {variable({4, 3}), variable({3})}, {variable({4, 3}), {}}));
}

}  // namespace
}  // namespace vlmr1
