#include "tests/attention_fixture.h"

#include <cmath>

#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1::testing {

SegmentTree tree_of(const std::vector<TreePart>& parts) {
  SegmentTree tree;
  for (const TreePart& part : parts) {
    tree.segments.push_back({tree.tokens, part.length, part.parent, part.causal});
    tree.tokens += part.length;
  }
  tree.validate();
  return tree;
}

AttentionShape heads(int64_t query, int64_t kv, int64_t size, DType products) {
  return {query, kv, size, static_cast<float>(1.0 / std::sqrt(static_cast<double>(size))), products};
}

Attended attend(Backend& backend, const std::vector<TreePart>& parts, const AttentionShape& shape) {
  Attended a{tree_of(parts), shape, {}, {}, {}, {}, {}};
  const int64_t t = a.tree.tokens;
  a.q = to_device(backend, random_array(1, {t, shape.query_heads * shape.head_size}, 2.0));
  a.k = to_device(backend, random_array(2, {t, shape.kv_heads * shape.head_size}, 2.0));
  a.v = to_device(backend, random_array(3, {t, shape.kv_heads * shape.head_size}));
  a.out = backend.empty(a.q.shape());
  a.lse = backend.empty({t, shape.query_heads});
  backend.attention(a.q, a.k, a.v, a.tree, shape, a.out, &a.lse);
  return a;
}

Tensor rows_of(Backend& backend, const Tensor& x, const SegmentTree& tree, const std::vector<QueryRun>& runs) {
  std::vector<int32_t> index;
  for (const QueryRun& run : runs)
    for (int32_t i = 0; i < run.count; ++i) index.push_back(tree.segments[run.segment].start + run.first + i);
  Tensor at = backend.empty({static_cast<int64_t>(index.size())}, DType::kI32);
  backend.upload(at, index.data());
  Tensor y = backend.empty({at.numel(), x.shape()[1]});
  backend.gather_rows(x, at, y);
  return y;
}

void step(Backend& backend, const Attended& a, KvStore& store, SegmentTree& grown, const std::vector<QueryRun>& runs,
          const std::string& where) {
  for (const QueryRun& run : runs) grown.segments[run.segment].length = run.first + run.count;
  backend.kv_append(store, runs, rows_of(backend, a.k, a.tree, runs), rows_of(backend, a.v, a.tree, runs));
  const Tensor q = rows_of(backend, a.q, a.tree, runs);
  Tensor out = backend.empty(q.shape());
  backend.kv_attention(q, store, grown, runs, a.shape, out);
  if (!same_bits(to_vector(backend, out), to_vector(backend, rows_of(backend, a.out, a.tree, runs))))
    VLMR1_REPORT(where + ": token " + show(runs[0].first) + " of segment " + show(runs[0].segment) + " has other bits");
}

std::vector<std::vector<float>> gradients(Backend& backend, const Attended& a, const Tensor& dout) {
  Tensor dq = backend.empty(a.q.shape()), dk = backend.empty(a.k.shape()), dv = backend.empty(a.v.shape());
  backend.attention_grad(dout, a.q, a.k, a.v, a.out, a.lse, a.tree, a.shape, dq, dk, dv);
  return {to_vector(backend, dq), to_vector(backend, dk), to_vector(backend, dv)};
}

}  // namespace vlmr1::testing
