// Profiles: spans nest, cost no bits, and say how much was computed.
#include "core/trace.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "backend/profiled_backend.h"
#include "optim/adamw.h"
#include "rl/generate.h"
#include "rl/objective.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

std::set<std::string> names_of(const TraceTable& table) { return {table.names.begin(), table.names.end()}; }

// The first span of a name.
size_t find(const TraceTable& table, const std::string& name) {
  for (size_t i = 0; i < table.name.size(); ++i)
    if (table.names[table.name[i]] == name) return i;
  fail(ErrorCode::kState, "no span ", name);
}

// Every span lies within the one around it, and what lies in a span takes no longer than it.
void expect_nested(const TraceTable& table) {
  constexpr double kRounding = 1e-3;  // µs
  struct Open {
    double end, left;
  };
  std::vector<Open> open;
  for (size_t i = 0; i < table.start.size(); ++i) {
    const double start = table.start[i];
    while (!open.empty() && open.back().end <= start) open.pop_back();
    if (!open.empty()) {
      EXPECT_LE(start + table.duration[i], open.back().end + kRounding);
      open.back().left -= table.duration[i];
      EXPECT_GE(open.back().left, -kRounding);
    }
    open.push_back({start + table.duration[i], table.duration[i]});
  }
}

TEST(trace_spans_are_recorded_where_there_is_a_log) {
  TraceLog log;
  { const Span before("before"); }
  {
    const TraceScope scope(&log);
    const Span outer("outer");
    Span inner("inner", [] { return Work{"T,E", {3, 4}, 24.0, 100.0}; });
    inner.end();
    inner.end();  // once is enough
    const Span layer("layer", "layer", 7);
  }
  { const Span after("after"); }
  const TraceTable table = log.table();
  EXPECT_EQ(table.names, (std::vector<std::string>{"outer", "inner", "layer"}));
  EXPECT_EQ(table.details, (std::vector<std::string>{"", "T=3 E=4", "layer=7"}));
  EXPECT_EQ(table.flops, (std::vector<double>{0, 24, 0}));
  EXPECT_EQ(table.bytes, (std::vector<double>{0, 100, 0}));
  expect_nested(table);
}

TEST(trace_work_is_not_looked_at_without_a_log) {
  bool asked = false;
  const Span span("quiet", [&] {
    asked = true;
    return Work{};
  });
  EXPECT_EQ(asked, false);
}

TEST(trace_is_bounded_and_counts_what_it_drops) {
  TraceLog log(3);
  {
    const TraceScope scope(&log);
    const Span outer("outer");
    for (int i = 0; i < 5; ++i) const Span inner("inner");
  }
  const TraceTable table = log.table();
  EXPECT_EQ(table.start.size(), 3);
  EXPECT_EQ(table.dropped, 3);
  expect_nested(table);
}

TEST(trace_leaves_out_what_has_not_ended) {
  TraceLog log;
  const TraceScope scope(&log);
  const Span open("open");
  EXPECT_EQ(log.table().names.size(), 0);
}

TEST(trace_ends_spans_that_an_exception_leaves) {
  TraceLog log;
  const TraceScope scope(&log);
  try {
    const Span span("thrown");
    fail(ErrorCode::kState, "thrown on purpose");
  } catch (const Error&) {
  }
  EXPECT_EQ(log.table().names, (std::vector<std::string>{"thrown"}));
}

TEST(trace_kernels_say_how_much_they_computed) {
  const auto backend = make_profiled_backend(make_cpu_backend({1, ""}));
  const Tensor x = to_device(*backend, random_array(1, {3, 8}));
  const Tensor w = to_device(*backend, random_array(2, {5, 8}));
  Tensor y = backend->empty({3, 5});
  Tensor twice = backend->empty({3, 8});
  // A prompt of 2 tokens with two completions, of 1 and 3 tokens.
  const SegmentTree tree{{{0, 2, -1, true}, {2, 1, 0, true}, {3, 3, 0, true}}, 6};
  const AttentionShape shape{4, 2, 8, 1.0f};
  const Tensor q = to_device(*backend, random_array(3, {6, 32}));
  const Tensor kv = to_device(*backend, random_array(4, {6, 16}));
  Tensor out = backend->empty({6, 32});
  TraceLog log;
  {
    const TraceScope scope(&log);
    backend->linear(x, w, nullptr, nullptr, y);
    backend->add(x, x, twice);
    backend->attention(q, kv, kv, tree, shape, out, nullptr);
  }
  const TraceTable table = log.table();
  EXPECT_EQ(table.names, (std::vector<std::string>{"linear", "add", "attention"}));
  EXPECT_EQ(table.details[0], std::string("T=3 E=8 F=5"));
  EXPECT_EQ(table.flops[0], 2.0 * 3 * 8 * 5);
  EXPECT_EQ(table.bytes[0], 4.0 * (3 * 8 + 5 * 8 + 3 * 5));
  EXPECT_EQ(table.flops[1], 0.0);
  EXPECT_EQ(table.bytes[1], 4.0 * 3 * 3 * 8);
  // 3 pairs in the prompt, 1 + 2 and 6 + 3 · 2 in the completions; two products of 4 heads of 8 for each.
  EXPECT_EQ(table.flops[2], (3 + 3 + 12) * 2 * 2.0 * 4 * 8);
}

struct Trained {
  std::vector<std::vector<Completion>> completions;
  std::vector<float> first, second;  // log-probabilities before and after an update
};

Trained train(Model& model, const GoldenCase& c) {
  GenerateOptions options;
  options.n = 2;
  options.sampling.max_new_tokens = 4;
  Trained out;
  out.completions = generate(model, {c.prompt}, options, StopFlag(), nullptr);
  Objective objective;
  objective.loss.type = LossType::kSft;
  objective.loss.total_tokens = static_cast<int64_t>(c.completion.size());
  out.first = accumulate(model, {c.group()}, objective, StopFlag()).log_probs[0][0];
  AdamWOptions step;
  step.learning_rate = 1e-3f;
  adamw_step(model.backend(), model.parameters(), step);
  out.second = score(model, {c.group()}, 1.0f, AdapterMode::Use::kOn, StopFlag()).log_probs[0][0];
  return out;
}

TEST(trace_of_training_has_phases_and_kernels_and_changes_no_bit) {
  for (const auto& golden : golden_models()) {
    const GoldenCase c = GoldenCases(golden).get("two_images");
    ModelFixture plain(golden);
    const Trained expected = train(*plain.model, c);
    const auto backend = make_profiled_backend(make_cpu_backend({2, ""}));
    const auto model = Model::load(*backend, golden_path(golden), full_training());
    TraceLog log;
    {
      const TraceScope scope(&log);
      const Trained got = train(*model, c);
      EXPECT_TRUE(same_bits(got.first, expected.first));
      EXPECT_TRUE(same_bits(got.second, expected.second));
      for (size_t i = 0; i < 2; ++i) EXPECT_EQ(got.completions[0][i].tokens, expected.completions[0][i].tokens);
    }
    const TraceTable table = log.table();
    expect_nested(table);
    const std::set<std::string> names = names_of(table);
    for (const char* name : {"prefill",
                             "decode step",
                             "sampling",
                             "forward",
                             "loss",
                             "backward",
                             "vision tower",
                             "vision layer",
                             "merger",
                             "decoder layer",
                             "gradient norm",
                             "update",
                             "linear",
                             "linear_grad_input",
                             "linear_grad_weight",
                             "attention",
                             "attention_grad",
                             "kv_attention",
                             "rms_norm",
                             "rope",
                             "token_logp",
                             "sample",
                             "sum_squares",
                             "adamw"})
      if (names.count(name) == 0) EXPECT_EQ(std::string(name), std::string("among the spans of ") + golden);
    EXPECT_GT(table.flops[find(table, "kv_attention")], 0.0);
  }
}

}  // namespace
}  // namespace vlmr1
