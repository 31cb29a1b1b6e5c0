// Attention over segment trees: the op through the harness, and the promise that a token gets the same bits whether it
// is computed with its batch, alone from a growing cache, or with a prompt of its own.
#include "ops/attention.h"

#include <algorithm>
#include <cmath>

#include "tests/attention_fixture.h"
#include "tests/guarded_backend.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

OpCase attention_case(const std::string& name, const std::vector<TreePart>& parts, const AttentionShape& shape,
                      int elements = 5, int directions = 2) {
  const auto tree = std::make_shared<const SegmentTree>(tree_of(parts));
  OpCase c;
  c.name = "attention " + name + " " + Shape{shape.query_heads, shape.kv_heads, shape.head_size}.str();
  c.inputs = {random_array(1, {tree->tokens, shape.query_heads * shape.head_size}, 1.5),
              random_array(2, {tree->tokens, shape.kv_heads * shape.head_size}, 1.5),
              random_array(3, {tree->tokens, shape.kv_heads * shape.head_size})};
  c.op = [tree, shape](Graph& graph, const std::vector<Variable>& in) {
    return ops::attention(graph, in[0], in[1], in[2], tree, shape);
  };
  c.reference = [tree, shape](const std::vector<Doubles>& in) {
    return plain::attention(in[0], in[1], in[2], *tree, shape);
  };
  c.elements = elements;
  c.directions = directions;
  for (int32_t i = 0; i < tree->tokens && tree->tokens < 1000; ++i)
    for (int32_t j = 0; j < tree->tokens; ++j)
      c.flops += plain::sees(*tree, i, j) ? 4.0 * shape.query_heads * shape.head_size : 0.0;
  return c;
}

TEST(ops_attention_one_sequence) {
  check_op(attention_case("of 1", {{1}}, heads(1, 1, 8)));
  check_op(attention_case("of 5", {{5}}, heads(2, 1, 12)));
  check_op(attention_case("of 64", {{64}}, heads(2, 2, 8)));
  check_op(attention_case("of 65", {{65}}, heads(2, 1, 8), 4, 1));
  check_op(attention_case("of 150", {{150}}, heads(2, 1, 8), 3, 1));
}

TEST(ops_attention_head_sizes_and_groups) {
  for (const int64_t size : {2, 8, 12, 80, 128}) check_op(attention_case("of 13", {{13}}, heads(2, 1, size)));
  for (const int64_t group : {1, 2, 7}) check_op(attention_case("of 17", {{17}}, heads(2 * group, 2, 12)));
  // Fewer rows than a tile holds, as many, more.
  for (const int32_t length : {7, 8, 9, 17}) check_op(attention_case("tiles", {{length}}, heads(7, 1, 8), 3));
  check_op(attention_case("largest head", {{6}}, heads(1, 1, 256)));
  check_op(attention_case("all heads in one group", {{3}}, heads(56, 1, 8), 3));
}

TEST(ops_attention_prompt_and_children) {
  check_op(attention_case("group", {{9}, {4, 0}, {1, 0}, {6, 0}}, heads(4, 2, 12)));
  // Prompts that end at a block of keys, just before and behind it; children that share tiles.
  for (const int32_t prompt : {63, 64, 65})
    check_op(attention_case("prompt of " + show(prompt), {{prompt}, {3, 0}, {5, 0}}, heads(2, 1, 8), 3, 1));
  check_op(attention_case("long child", {{5}, {70, 0}, {3, 0}}, heads(2, 1, 8), 3, 1));
  check_op(attention_case("two groups", {{6}, {4, 0}, {2, 0}, {8}, {3, 3}, {5, 3}}, heads(2, 2, 12)));
  check_op(attention_case("many children", {{4}, {3, 0}, {3, 0}, {3, 0}, {3, 0}, {3, 0}, {3, 0}, {3, 0}, {3, 0}},
                          heads(7, 1, 8), 3));
}

TEST(ops_attention_deep_trees) {
  check_op(attention_case("three levels", {{5}, {4, 0}, {3, 1}, {2, 1}, {6, 0}, {1, 4}}, heads(4, 2, 8)));
  check_op(attention_case("a chain", {{3}, {2, 0}, {4, 1}, {1, 2}, {5, 3}}, heads(2, 1, 12)));
}

TEST(ops_attention_windows) {
  check_op(attention_case("windows", {{4, -1, false}, {1, -1, false}, {16, -1, false}}, heads(2, 2, 12)));
  check_op(attention_case("long window", {{70, -1, false}}, heads(2, 1, 8), 3, 1));
  // A picture that is seen as a whole, then text that reads it; and a child that sees all of itself.
  check_op(attention_case("window above text", {{6, -1, false}, {5, 0}, {4, 0, false}}, heads(2, 1, 8)));
}

TEST(ops_attention_refuses_what_does_not_fit) {
  const auto backend = make_cpu_backend({1, ""});
  Graph graph(*backend, true);
  const auto run = [&](int64_t tokens, const SegmentTree& tree, const AttentionShape& shape) {
    const Variable q(backend->zeros({tokens, shape.query_heads * shape.head_size}));
    const Variable k(backend->zeros({tokens, shape.kv_heads * shape.head_size}));
    ops::attention(graph, q, k, k, std::make_shared<const SegmentTree>(tree), shape);
  };
  const SegmentTree tree = tree_of({{4}});
  run(4, tree, heads(2, 1, 8));
  EXPECT_ERROR(ErrorCode::kShape, run(5, tree, heads(2, 1, 8)));
  EXPECT_ERROR(ErrorCode::kShape, run(4, tree, heads(3, 2, 8)));
  EXPECT_ERROR(ErrorCode::kShape, run(4, tree, heads(113, 1, 8)));
  EXPECT_ERROR(ErrorCode::kShape, run(4, tree, heads(1, 1, 257)));
  EXPECT_ERROR(ErrorCode::kShape, run(4, tree, heads(0, 1, 8)));
  EXPECT_ERROR(ErrorCode::kTree, run(4, {{{0, 3, -1, true}}, 4}, heads(2, 1, 8)));
  EXPECT_ERROR(ErrorCode::kTree, run(4, {{{0, 4, 0, true}}, 4}, heads(2, 1, 8)));
}

// -- The same bits, however it is computed. bf16 is held as pairs: odd lengths and head sizes leave one alone.

constexpr DType kPairs = DType::kBF16;

TEST(ops_attention_token_by_token_has_the_bits_of_the_whole) {
  for (const Device& device : devices()) {
    for (const int threads : {1, 3}) {
      const auto inner = device.open(threads);
      poison_free_memory(*inner);
      GuardedBackend backend(*inner);
      for (const AttentionShape& shape : {heads(4, 2, 12), heads(7, 1, 8), heads(2, 2, 80), heads(4, 2, 13, kPairs),
                                          heads(7, 1, 8, kPairs), heads(2, 2, 80, kPairs)}) {
        const Attended a = attend(backend, {{70}, {66, 0}, {5, 0}, {9, 1}, {66, 0}}, shape);
        const auto store = backend.kv_create(shape);
        SegmentTree grown = a.tree;
        const std::string where = device.name + ", heads of " + show(shape.head_size);
        // The prompt in one piece, as rollout does it; then all children a token at a time, side by side.
        step(backend, a, *store, grown, {{0, 0, 70}}, where);
        for (int32_t i = 0; i < 66; ++i) {
          std::vector<QueryRun> runs{{1, i, 1}};
          if (i < 5) runs.push_back({2, i, 1});
          runs.push_back({4, i, 1});
          step(backend, a, *store, grown, runs, where);
        }
        for (int32_t i = 0; i < 9; i += 3) step(backend, a, *store, grown, {{3, i, 3}}, where);
      }
      EXPECT_EQ(backend.check_guards(), "");
    }
  }
}

TEST(ops_attention_prompt_piece_by_piece_has_the_same_bits) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    for (const AttentionShape& shape : {heads(4, 2, 12), heads(4, 2, 11, kPairs)}) {
      poison_free_memory(*backend);
      const Attended a = attend(*backend, {{133}, {4, 0}}, shape);
      const auto store = backend->kv_create(a.shape);
      SegmentTree grown = a.tree;
      int32_t done = 0;
      for (const int32_t count : {1, 62, 2, 63, 5}) {
        // A piece may come as several runs of the segment.
        if (count == 63)
          step(*backend, a, *store, grown, {{0, done, 16}, {0, done + 16, 5}, {0, done + 21, 42}}, device.name);
        else step(*backend, a, *store, grown, {{0, done, count}}, device.name);
        done += count;
      }
      step(*backend, a, *store, grown, {{1, 0, 4}}, device.name);
      EXPECT_ERROR(ErrorCode::kState, step(*backend, a, *store, grown, {{1, 2, 1}}, device.name));
    }
  }
}

TEST(ops_attention_shared_prompt_has_the_bits_of_unshared) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    const std::vector<int32_t> children{7, 1, 70, 12};
    std::vector<TreePart> parts{{67}};
    for (const int32_t length : children) parts.push_back({length, 0});
    for (const DType products : {DType::kF32, kPairs}) {
      const Attended shared = attend(*backend, parts, heads(4, 2, 12, products));
      for (size_t c = 0; c < children.size(); ++c) {
        const SegmentTree alone = tree_of({{67}, {children[c], 0}});
        const std::vector<QueryRun> runs{{0, 0, 67}, {static_cast<int32_t>(c + 1), 0, children[c]}};
        Tensor out = backend->empty({alone.tokens, 48});
        backend->attention(rows_of(*backend, shared.q, shared.tree, runs),
                           rows_of(*backend, shared.k, shared.tree, runs),
                           rows_of(*backend, shared.v, shared.tree, runs), alone, shared.shape, out, nullptr);
        EXPECT_TRUE(
            same_bits(to_vector(*backend, out), to_vector(*backend, rows_of(*backend, shared.out, shared.tree, runs))));
      }
    }
  }
}

// Output and dq of the first `seen` tokens, none of which sees the later ones; those hold `scale` times their numbers.
std::vector<float> first_rows(Backend& backend, const SegmentTree& tree, int32_t seen, float scale, DType products) {
  const AttentionShape shape = heads(4, 2, 12, products);
  const auto rows = [&](uint64_t seed, int64_t cols) {
    Array x = random_array(seed, {tree.tokens, cols});
    for (int64_t i = seen * cols; i < x.shape.numel(); ++i) x.values[i] *= scale;
    return to_device(backend, x);
  };
  const Tensor q = rows(1, 48), k = rows(2, 24), v = rows(3, 24);
  Tensor out = backend.empty(q.shape()), lse = backend.empty({tree.tokens, 4});
  backend.attention(q, k, v, tree, shape, out, &lse);
  Tensor dq = backend.empty(q.shape()), dk = backend.empty(k.shape()), dv = backend.empty(v.shape());
  // So large that its products with those numbers leave the range of floats.
  const Tensor dout = to_device(backend, random_array(4, q.shape(), 100.0));
  backend.attention_grad(dout, q, k, v, out, lse, tree, shape, dq, dk, dv);
  auto all = to_vector(backend, out.rows(0, seen));
  const auto gradient = to_vector(backend, dq.rows(0, seen));
  all.insert(all.end(), gradient.begin(), gradient.end());
  return all;
}

TEST(ops_attention_what_is_not_seen_has_no_influence) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    const auto expect_same = [&](const SegmentTree& tree, int32_t seen) {
      for (const DType products : {DType::kF32, kPairs}) {
        const auto expected = first_rows(*backend, tree, seen, 1.0f, products);
        for (const float scale : {-1.0f, 0.0f, 1e37f})
          EXPECT_TRUE(same_bits(first_rows(*backend, tree, seen, scale, products), expected));
      }
    };
    expect_same(tree_of({{130}}), 100);
    expect_same(tree_of({{9}, {4, 0}, {6, 0}}), 13);
    expect_same(tree_of({{5, -1, false}, {7, -1, false}}), 5);
  }
}

TEST(ops_attention_released_segments_can_grow_again) {
  const auto backend = make_cpu_backend({1, ""});
  const Attended a = attend(*backend, {{20}, {70, 0}}, heads(2, 1, 8));
  const auto store = backend->kv_create(a.shape);
  SegmentTree grown = a.tree;
  step(*backend, a, *store, grown, {{0, 0, 20}}, "first");
  const size_t used = backend->memory_used();
  step(*backend, a, *store, grown, {{1, 0, 70}}, "first");
  EXPECT_GT(backend->memory_used(), used);
  backend->kv_release(*store, 1);
  EXPECT_EQ(backend->memory_used(), used);
  step(*backend, a, *store, grown, {{1, 0, 70}}, "again");
}

TEST(ops_attention_speed) {
  if (!bench_wanted()) skip("VLMR1_BENCH=1 or --bench prints speeds");
  for (const DType products : {DType::kF32, kPairs}) {
    const std::string type = std::string(" in ") + dtype_name(products);
    bench_op(attention_case("of 512" + type, {{512}}, heads(12, 2, 128, products)));
    bench_op(attention_case("prompt of 300, 4 of 80" + type, {{300}, {80, 0}, {80, 0}, {80, 0}, {80, 0}},
                            heads(12, 2, 128, products)));
    bench_op(attention_case("windows of 64" + type, std::vector<TreePart>(12, {64, -1, false}),
                            heads(16, 16, 80, products)));
  }
}

}  // namespace
}  // namespace vlmr1
