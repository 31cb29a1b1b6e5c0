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

Variable gelu(Graph& graph, const Variable& x) {
  Tensor y = graph.backend().empty(x.shape());
  graph.backend().gelu(x.value(), y);
  Variable out = graph.result(y, {&x});
  graph.record(out, [&graph, x](const Tensor& dy) {
    Tensor dx = graph.backend().empty(dy.shape());
    graph.backend().gelu_grad(dy, x.value(), dx);
    graph.accumulate(x.slot(), dx);
  });
  return out;
}

}  // namespace vlmr1::ops
