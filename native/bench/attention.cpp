// Attention over segment trees: whole (forward and backward) and one token at a time.
#include <memory>

#include "bench/cases.h"

namespace vlmr1::bench {

namespace {

struct Heads {
  std::string name;
  int64_t query, kv, size;
};

const Heads kHeads10m{"bench-10m", 8, 2, 32}, kHeads80m{"bench-80m", 10, 2, 64}, kHeads3b{"3b", 16, 2, 128};
const Heads kVision10m{"bench-10m vision", 5, 5, 32}, kVision3b{"3b vision", 16, 16, 80};
const Heads kQuick{"quick", 2, 1, 8};

AttentionShape shape_of(const Heads& heads, bool bf16) {
  return {heads.query, heads.kv, heads.size, 0.1f, bf16 ? DType::kBF16 : DType::kF32};
}

struct Segmented {
  std::string name;
  SegmentTree tree;
};

void add_segment(SegmentTree& tree, int32_t length, int32_t parent, bool causal) {
  tree.segments.push_back({tree.tokens, length, parent, causal});
  tree.tokens += length;
}

Segmented sequence(int32_t length) {
  Segmented s{"causal " + std::to_string(length), {}};
  add_segment(s.tree, length, -1, true);
  return s;
}

// A prompt and its completions.
Segmented group(int32_t prompt, int32_t children, int32_t length) {
  Segmented s{"tree " + std::to_string(prompt) + "+" + std::to_string(children) + "x" + std::to_string(length), {}};
  add_segment(s.tree, prompt, -1, true);
  for (int32_t i = 0; i < children; ++i) add_segment(s.tree, length, 0, true);
  return s;
}

Segmented windows(int32_t count, int32_t length) {
  Segmented s{"windows " + std::to_string(count) + "x" + std::to_string(length), {}};
  for (int32_t i = 0; i < count; ++i) add_segment(s.tree, length, -1, false);
  return s;
}

// Of queries and keys that they see.
double visible_pairs(const SegmentTree& tree) {
  double pairs = 0.0;
  for (size_t i = 0; i < tree.segments.size(); ++i) {
    const Segment& s = tree.segments[i];
    const double length = s.length;
    pairs += s.causal ? length * (length + 1) / 2 : length * length;
    for (const int32_t above : tree.ancestors(static_cast<int32_t>(i))) pairs += length * tree.segments[above].length;
  }
  return pairs;
}

struct Operands {
  SegmentTree tree;
  AttentionShape shape;
  Tensor q, k, v, out, lse, dout, dq, dk, dv;
};

std::shared_ptr<Operands> make_operands(Backend& backend, const SegmentTree& tree, const AttentionShape& shape) {
  const Shape wide{tree.tokens, shape.query_heads * shape.head_size};
  const Shape narrow{tree.tokens, shape.kv_heads * shape.head_size};
  Operands o{tree, shape, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  o.q = random_tensor(backend, wide, 1);
  o.k = random_tensor(backend, narrow, 2);
  o.v = random_tensor(backend, narrow, 3);
  o.dout = random_tensor(backend, wide, 4);
  o.out = backend.empty(wide);
  o.lse = backend.empty({tree.tokens, shape.query_heads});
  o.dq = backend.empty(wide);
  o.dk = backend.empty(narrow);
  o.dv = backend.empty(narrow);
  backend.attention(o.q, o.k, o.v, o.tree, o.shape, o.out, &o.lse);
  return std::make_shared<Operands>(std::move(o));
}

// Scores and weighted values are a product each forward; backward has five, the scores anew among them.
Work make_work(Backend& backend, const SegmentTree& tree, const AttentionShape& shape, bool backward) {
  const auto o = make_operands(backend, tree, shape);
  Work work;
  work.bf16 = shape.products == DType::kBF16;
  work.flops = (backward ? 10.0 : 4.0) * visible_pairs(tree) * static_cast<double>(shape.query_heads * shape.head_size);
  const double forward_bytes = 2.0 * static_cast<double>(o->q.bytes() + o->k.bytes());
  work.bytes = backward ? 2.0 * forward_bytes + static_cast<double>(o->q.bytes()) : forward_bytes;
  if (backward)
    work.contestants.push_back({"own", [&backend, o] {
                                  backend.attention_grad(o->dout, o->q, o->k, o->v, o->out, o->lse, o->tree, o->shape,
                                                         o->dq, o->dk, o->dv);
                                }});
  else
    work.contestants.push_back(
        {"own", [&backend, o] { backend.attention(o->q, o->k, o->v, o->tree, o->shape, o->out, &o->lse); }});
  return work;
}

struct Decoding {
  SegmentTree tree;
  AttentionShape shape;
  std::unique_ptr<KvStore> store;
  std::vector<QueryRun> last;  // the newest token of every completion
  Tensor q, out;
};

// All prompts and completions are in the store; a call answers for the newest token of each completion.
Work make_decoding(Backend& backend, const SegmentTree& tree, const AttentionShape& shape) {
  auto d = std::make_shared<Decoding>();
  d->tree = tree;
  d->shape = shape;
  d->store = backend.kv_create(shape);
  const Shape narrow{tree.tokens, shape.kv_heads * shape.head_size};
  std::vector<QueryRun> all;
  double pairs = 0.0;
  for (int32_t i = 0; i < static_cast<int32_t>(tree.segments.size()); ++i) {
    const Segment& s = tree.segments[i];
    all.push_back({i, 0, s.length});
    if (s.parent < 0) continue;
    d->last.push_back({i, s.length - 1, 1});
    pairs += s.length + tree.segments[s.parent].length;
  }
  backend.kv_append(*d->store, all, random_tensor(backend, narrow, 2), random_tensor(backend, narrow, 3));
  d->q = random_tensor(backend, {static_cast<int64_t>(d->last.size()), shape.query_heads * shape.head_size}, 1);
  d->out = backend.empty(d->q.shape());
  Work work;
  work.bf16 = shape.products == DType::kBF16;
  work.flops = 4.0 * pairs * static_cast<double>(shape.query_heads * shape.head_size);
  work.bytes =
      2.0 * static_cast<double>(narrow.numel()) * (work.bf16 ? 2 : 4) + 2.0 * static_cast<double>(d->q.bytes());
  work.contestants.push_back(
      {"own", [&backend, d] { backend.kv_attention(d->q, *d->store, d->tree, d->last, d->shape, d->out); }});
  return work;
}

SegmentTree prompts_of(int32_t count, const Segmented& one) {
  SegmentTree tree;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t root = static_cast<int32_t>(tree.segments.size());
    for (const Segment& s : one.tree.segments) add_segment(tree, s.length, s.parent < 0 ? -1 : root, s.causal);
  }
  return tree;
}

struct Wanted {
  Heads heads;
  Segmented segmented;
  bool standard;
};

}  // namespace

std::vector<Case> attention_cases(const Sizes& sizes) {
  std::vector<Wanted> whole{{kHeads3b, sequence(1024), true},        {kHeads3b, sequence(2048), false},
                            {kHeads80m, sequence(1024), false},      {kHeads10m, group(300, 8, 64), true},
                            {kHeads80m, group(300, 8, 64), true},    {kHeads3b, group(300, 8, 64), false},
                            {kHeads80m, group(1024, 8, 128), false}, {kVision10m, windows(16, 64), true},
                            {kVision3b, windows(16, 64), true},      {kVision3b, windows(1, 1024), false}};
  std::vector<Wanted> decoding{{kHeads10m, group(300, 8, 64), false},
                               {kHeads80m, group(300, 8, 64), true},
                               {kHeads3b, group(300, 8, 64), true},
                               {kHeads3b, group(1024, 8, 128), false}};
  if (sizes.quick) whole = {{kQuick, group(5, 2, 3), true}};
  if (sizes.quick) decoding = whole;
  constexpr int32_t kPrompts = 4;

  std::vector<Case> cases;
  for (const bool bf16 : {false, true}) {
    const auto add = [&](const std::string& op, const Wanted& w, std::function<Work(Backend&)> make) {
      const std::string name = op + " " + precision_name(bf16) + " " + w.heads.name + " " + w.segmented.name;
      cases.push_back({"attention", name, w.standard, std::move(make)});
    };
    for (const Wanted& w : whole) {
      const AttentionShape shape = shape_of(w.heads, bf16);
      for (const bool backward : {false, true})
        add(backward ? "attention_grad" : "attention", w, [tree = w.segmented.tree, shape, backward](Backend& backend) {
          return make_work(backend, tree, shape, backward);
        });
    }
    for (const Wanted& w : decoding)
      add("kv_attention", w,
          [tree = prompts_of(kPrompts, w.segmented), shape = shape_of(w.heads, bf16)](Backend& backend) {
            return make_decoding(backend, tree, shape);
          });
  }
  return cases;
}

}  // namespace vlmr1::bench
