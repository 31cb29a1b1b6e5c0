#include "ops/activation.h"

namespace vlmr1::ops {

Variable swiglu(Graph& graph, const Variable& gate, const Variable& up) {
  check(gate.shape() == up.shape(), ErrorCode::kShape, "swiglu: gate ", gate.shape().str(), ", up ", up.shape().str());
  Tensor y = graph.backend().empty(gate.shape());
  graph.backend().swiglu(gate.value(), up.value(), y);
  Variable out = graph.result(y, {&gate, &up});
  graph.record(out, [&graph, gate, up](const Tensor& dy) {
    Tensor dgate = graph.backend().empty(dy.shape());
    Tensor dup = graph.backend().empty(dy.shape());
    graph.backend().swiglu_grad(dy, gate.value(), up.value(), dgate, dup);
    graph.accumulate(gate.slot(), dgate);
    graph.accumulate(up.slot(), dup);
  });
  return out;
}

Variable gelu(Graph& graph, const Variable& x, GeluKind kind) {
  Tensor y = graph.backend().empty(x.shape());
  graph.backend().gelu(x.value(), kind, y);
  Variable out = graph.result(y, {&x});
  graph.record(out, [&graph, x, kind](const Tensor& dy) {
    Tensor dx = graph.backend().empty(dy.shape());
    graph.backend().gelu_grad(dy, x.value(), kind, dx);
    graph.accumulate(x.slot(), dx);
  });
  return out;
}

Variable scale(Graph& graph, const Variable& x, float factor) {
  Tensor y = graph.backend().empty(x.shape());
  graph.backend().scale(x.value(), factor, y);
  Variable out = graph.result(y, {&x});
  graph.record(out, [&graph, slot = x.slot(), factor](const Tensor& dy) {
    Tensor dx = graph.backend().empty(dy.shape());
    graph.backend().scale(dy, factor, dx);
    graph.accumulate(slot, dx);
  });
  return out;
}

Variable dropout(Graph& graph, const Variable& x, float p, uint64_t seed, uint64_t stream) {
  check(p >= 0.0f && p < 1.0f, ErrorCode::kArgument, "dropout: expected a probability in [0, 1), got ", p);
  if (p == 0.0f) return x;
  Tensor y = graph.backend().empty(x.shape());
  graph.backend().dropout(x.value(), p, seed, stream, y);
  Variable out = graph.result(y, {&x});
  graph.record(out, [&graph, slot = x.slot(), p, seed, stream](const Tensor& dy) {
    Tensor dx = graph.backend().empty(dy.shape());
    graph.backend().dropout(dy, p, seed, stream, dx);
    graph.accumulate(slot, dx);
  });
  return out;
}

}  // namespace vlmr1::ops
