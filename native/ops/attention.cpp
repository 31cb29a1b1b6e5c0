#include "ops/attention.h"

namespace vlmr1::ops {

Variable attention(Graph& graph, const Variable& q, const Variable& k, const Variable& v,
                   const std::shared_ptr<const SegmentTree>& tree, const AttentionShape& shape) {
  tree->validate();
  check(shape.products == DType::kF32 || shape.products == DType::kBF16, ErrorCode::kDType,
        "attention: expected products in f32 or bf16, got ", dtype_name(shape.products));
  const int64_t tokens = tree->tokens;
  check(q.shape() == Shape({tokens, shape.query_heads * shape.head_size}) &&
            k.shape() == Shape({tokens, shape.kv_heads * shape.head_size}) && v.shape() == k.shape(),
        ErrorCode::kShape, "attention: q ", q.shape().str(), ", k ", k.shape().str(), ", v ", v.shape().str(), " for ",
        tokens, " tokens, heads ", shape.query_heads, "/", shape.kv_heads, " of ", shape.head_size);
  Backend& backend = graph.backend();
  Tensor y = backend.empty(q.shape());
  Variable out = graph.result(y, {&q, &k, &v});
  Tensor lse = out.needs_grad() ? backend.empty({tokens, shape.query_heads}) : Tensor();
  backend.attention(q.value(), k.value(), v.value(), *tree, shape, y, lse ? &lse : nullptr);
  graph.record(out, [&graph, q, k, v, y, lse, tree, shape](const Tensor& dy) {
    Backend& b = graph.backend();
    Tensor dq = b.empty(q.shape());
    Tensor dk = b.empty(k.shape());
    Tensor dv = b.empty(v.shape());
    b.attention_grad(dy, q.value(), k.value(), v.value(), y, lse, *tree, shape, dq, dk, dv);
    graph.accumulate(q.slot(), dq);
    graph.accumulate(k.slot(), dk);
    graph.accumulate(v.slot(), dv);
  });
  return out;
}

}  // namespace vlmr1::ops
