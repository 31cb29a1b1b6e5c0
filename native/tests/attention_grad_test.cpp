// Attention against the plain one that rounds the same operands, in both types, and its gradients' bits.
#include <algorithm>

#include "tests/attention_fixture.h"
#include "tests/guarded_backend.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr DType kBoth[] = {DType::kF32, DType::kBF16};

struct Plain {
  Doubles out;
  std::vector<Doubles> gradients;
};

Plain plain_attention(Backend& backend, const Attended& a, const Tensor& dout, DType products) {
  AttentionShape shape = a.shape;
  shape.products = products;
  const auto doubles = [&](const Tensor& x) { return to_double(to_vector(backend, x)); };
  const Doubles q = doubles(a.q), k = doubles(a.k), v = doubles(a.v);
  return {plain::attention(q, k, v, a.tree, shape), plain::attention_grad(doubles(dout), q, k, v, a.tree, shape)};
}

void expect_near(const std::vector<float>& got, const Doubles& expected, double tolerance, const std::string& where) {
  const double error = relative_error(got, expected);
  if (!(error <= tolerance)) VLMR1_REPORT(where + ": relative error " + show(error));
}

// Near the plain result with the same roundings. In bf16 a number close to the middle between two of them may fall to
// the other side, and the engine rounds probabilities relative to the largest score so far, the plain one to the
// largest of all: errors of a 256th of single small terms.
void expect_plain(const std::vector<TreePart>& parts, const AttentionShape& shape) {
  const double tolerance = shape.products == DType::kBF16 ? 5e-3 : 4e-5;
  for (const Device& device : devices()) {
    const auto inner = device.open(2);
    poison_free_memory(*inner);
    GuardedBackend backend(*inner);
    const Attended a = attend(backend, parts, shape);
    const Tensor dout = to_device(backend, random_array(4, a.q.shape()));
    const Plain expected = plain_attention(backend, a, dout, shape.products);
    const std::string where = std::string(dtype_name(shape.products)) + ", " + show(a.tree.tokens) + " tokens, heads " +
                              Shape{shape.query_heads, shape.kv_heads, shape.head_size}.str() + " on " + device.name;
    expect_near(to_vector(backend, a.out), expected.out, tolerance, where);
    const auto got = gradients(backend, a, dout);
    const char* names[] = {"dq", "dk", "dv"};
    for (int i = 0; i < 3; ++i) expect_near(got[i], expected.gradients[i], tolerance, where + ", " + names[i]);
    EXPECT_EQ(backend.check_guards(), "");
  }
}

TEST(ops_attention_grad_plain_one_sequence) {
  for (const DType products : kBoth) {
    for (const int32_t length : {1, 2, 5, 63, 64, 65, 129}) expect_plain({{length}}, heads(2, 1, 16, products));
    for (const int64_t size : {1, 3, 8, 13, 33, 80, 127}) expect_plain({{21}}, heads(2, 1, size, products));
    expect_plain({{6}}, heads(1, 1, 255, products));
    expect_plain({{9}}, heads(1, 1, 256, products));
  }
}

TEST(ops_attention_grad_plain_groups_and_trees) {
  for (const DType products : kBoth) {
    for (const int64_t group : {1, 2, 7, 8}) expect_plain({{35}}, heads(2 * group, 2, 12, products));
    expect_plain({{3}}, heads(112, 1, 8, products));
    expect_plain({{2}}, heads(111, 1, 8, products));
    // Odd lengths, and children that share a tile with rows between them that only fill up.
    for (const int64_t group : {1, 3}) {
      expect_plain({{67}, {3, 0}, {5, 0}, {1, 0}, {70, 0}}, heads(group, 1, 12, products));
      expect_plain({{5}, {4, 0}, {3, 1}, {2, 1}, {6, 0}, {1, 4}, {9}, {3, 6}}, heads(2 * group, 2, 8, products));
    }
  }
}

TEST(ops_attention_grad_plain_windows) {
  for (const DType products : kBoth) {
    expect_plain({{16, -1, false}, {64, -1, false}, {1, -1, false}, {33, -1, false}}, heads(2, 2, 80, products));
    expect_plain({{130, -1, false}, {5, 0}, {7, 0, false}}, heads(2, 1, 8, products));
  }
}

// So long that a tree with few heads is cut into several tasks with sums of their own.
TEST(ops_attention_grad_plain_several_tasks) {
  for (const DType products : kBoth) {
    expect_plain({{700}}, heads(2, 1, 8, products));
    expect_plain({{300}, {200, 0}, {250, 0}, {90, 1}}, heads(2, 1, 8, products));
  }
}

TEST(ops_attention_bf16_is_not_f32) {
  const auto backend = make_cpu_backend({1, ""});
  const Attended a = attend(*backend, {{65}, {30, 0}}, heads(2, 1, 32, DType::kBF16));
  const Tensor dout = to_device(*backend, random_array(4, a.q.shape()));
  const Plain exact = plain_attention(*backend, a, dout, DType::kF32);
  EXPECT_GT(relative_error(to_vector(*backend, a.out), exact.out), 2e-3);
  const auto got = gradients(*backend, a, dout);
  for (int i = 0; i < 3; ++i) EXPECT_GT(relative_error(got[i], exact.gradients[i]), 2e-3);
}

TEST(ops_attention_grad_bits_do_not_depend_on_threads_or_the_batch) {
  for (const Device& device : devices()) {
    for (const DType products : kBoth) {
      const AttentionShape shape = heads(4, 2, 12, products);
      const auto one = device.open(1);
      const Attended a = attend(*one, {{260}, {7, 0}, {130, 0}}, shape);
      const Tensor dout = to_device(*one, random_array(4, a.q.shape()));
      const auto expected = gradients(*one, a, dout);

      const auto five = device.open(5);
      const Attended b = attend(*five, {{260}, {7, 0}, {130, 0}}, shape);
      const auto threaded = gradients(*five, b, to_device(*five, random_array(4, b.q.shape())));
      // The same tree with others behind it: numbers are drawn in the order of tokens.
      const Attended c = attend(*five, {{260}, {7, 0}, {130, 0}, {300}, {3, 3}, {16, -1, false}}, shape);
      const auto beside = gradients(*five, c, to_device(*five, random_array(4, c.q.shape())));
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(same_bits(threaded[i], expected[i]));
        EXPECT_TRUE(same_bits(std::span(beside[i]).first(expected[i].size()), expected[i]));
      }
    }
  }
}

TEST(ops_attention_bf16_cache_takes_half_the_memory) {
  const auto backend = make_cpu_backend({1, ""});
  size_t bytes[2];
  for (int i = 0; i < 2; ++i) {
    const AttentionShape shape = heads(4, 2, 64, kBoth[i]);
    const auto store = backend->kv_create(shape);
    const Tensor k = backend->zeros({128, 128});
    const size_t before = backend->memory_used();
    backend->kv_append(*store, {{0, 0, 128}}, k, k);
    bytes[i] = backend->memory_used() - before;
  }
  EXPECT_LT(static_cast<double>(bytes[1]), 0.51 * static_cast<double>(bytes[0]));
}

}  // namespace
}  // namespace vlmr1
