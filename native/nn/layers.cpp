#include "nn/layers.h"

#include "ops/activation.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace vlmr1::nn {

namespace {
bool wants_slot(Graph& graph, const Parameter& p) {
  if (p.trainable) graph.meet_gradient();
  return p.trainable && graph.recording();
}

Variable with_slot(Tensor value, Tensor grad) {
  return Variable(std::move(value), std::make_shared<GradSlot>(GradSlot{std::move(grad)}));
}
}  // namespace

Variable leaf(Graph& graph, const Parameter& p) {
  return wants_slot(graph, p) ? with_slot(p.value, p.grad) : Variable(p.value);
}

Variable leaf_rows(Graph& graph, const Parameter& p, int64_t begin, int64_t end) {
  const Tensor value = p.value.rows(begin, end);
  return wants_slot(graph, p) ? with_slot(value, p.grad.rows(begin, end)) : Variable(value);
}

Variable Linear::operator()(Graph& graph, const Variable& x, const Variable* residual) const {
  Variable w = leaf(graph, *weight);
  // A convolution whose stride is its kernel size is a linear layer over its patches.
  if (w.shape().rank() > 2) w = w.reshaped({w.shape()[0], w.value().numel() / w.shape()[0]});
  if (w.slot() && w.slot()->grad.shape() != w.shape()) w.slot()->grad = w.slot()->grad.reshaped(w.shape());
  const Variable b = bias ? leaf(graph, *bias) : Variable();
  const Variable y = ops::linear(graph, x, w, bias ? &b : nullptr, residual);
  return adapted(graph, x, y, 0, weight->shape[0]);
}

Variable Linear::part(Graph& graph, const Variable& x, int64_t begin, int64_t end) const {
  const Variable w = leaf_rows(graph, *weight, begin, end);
  const Variable b = bias ? leaf_rows(graph, *bias, begin, end) : Variable();
  const Variable y = ops::linear(graph, x, w, bias ? &b : nullptr, nullptr);
  return adapted(graph, x, y, begin, end);
}

bool Linear::adapts(const Graph& graph) const { return adapter && graph.adapters().use != AdapterMode::Use::kOff; }

// y with the outputs [begin, end) of the adapter added. The parts of a layer draw the same dropout: they see the same
// input.
Variable Linear::adapted(Graph& graph, const Variable& x, const Variable& y, int64_t begin, int64_t end) const {
  const AdapterMode& mode = graph.adapters();
  if (!adapts(graph)) return y;
  const bool start = mode.use == AdapterMode::Use::kStart;
  check(!start || adapter->start_a, ErrorCode::kState, "adapter: the model was loaded without keeping its start");
  const Variable a = start ? Variable(adapter->start_a) : leaf(graph, *adapter->a);
  const Variable b = start ? Variable(adapter->start_b.rows(begin, end)) : leaf_rows(graph, *adapter->b, begin, end);
  const float dropout = mode.training ? adapter->dropout : 0.0f;
  const Variable seen = ops::dropout(graph, x, dropout, mode.seed, adapter->index);
  const Variable low = ops::linear(graph, seen, a, nullptr, nullptr);
  return ops::linear(graph, ops::scale(graph, low, adapter->scale), b, nullptr, &y);
}

Linear linear(ParameterStore& p, const std::string& name) {
  return {&p.get(name + ".weight"), p.has(name + ".bias") ? &p.get(name + ".bias") : nullptr, p.adapter(name)};
}

Variable RmsNorm::operator()(Graph& graph, const Variable& x) const {
  return ops::rms_norm(graph, x, leaf(graph, *weight), eps);
}

Variable LayerNorm::operator()(Graph& graph, const Variable& x) const {
  return ops::layer_norm(graph, x, leaf(graph, *weight), leaf(graph, *bias), eps);
}

Variable SwigluMlp::operator()(Graph& graph, const Variable& x, const Variable& residual) const {
  if (gate.adapts(graph) || up.adapts(graph))
    return down(graph, ops::swiglu(graph, gate(graph, x), up(graph, x)), &residual);
  const auto parts = [&graph](const Linear& l) {
    return ops::LinearWeight{leaf(graph, *l.weight), l.bias ? leaf(graph, *l.bias) : Variable()};
  };
  return down(graph, ops::linear_swiglu(graph, x, parts(gate), parts(up)), &residual);
}

Variable GeluMlp::operator()(Graph& graph, const Variable& x, const Variable& residual) const {
  return out(graph, ops::gelu(graph, in(graph, x), kind), &residual);
}

}  // namespace vlmr1::nn
