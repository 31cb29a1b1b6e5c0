#include "ops/linear.h"

namespace vlmr1::ops {

Variable linear(Graph& graph, const Variable& x, const Variable& w, const Variable* bias, const Variable* residual) {
  const int64_t rows = x.shape().rows();
  const int64_t out_features = w.shape()[0];
  check(w.shape().rank() == 2 && x.shape().cols() == w.shape()[1], ErrorCode::kShape, "linear: x ", x.shape().str(),
        " does not fit w ", w.shape().str());
  check(!bias || bias->shape() == Shape{out_features}, ErrorCode::kShape, "linear: expected bias [", out_features, "]");
  check(!residual || (residual->shape().rows() == rows && residual->shape().cols() == out_features), ErrorCode::kShape,
        "linear: expected residual [", rows, ", ", out_features, "]");
  Backend& backend = graph.backend();
  Tensor y = backend.empty({rows, out_features});
  backend.linear(x.value(), w.value(), bias ? &bias->value() : nullptr, residual ? &residual->value() : nullptr, y);
  Variable out = graph.result(y, {&x, &w, bias, residual});
  graph.record(out, [&graph, x_value = w.needs_grad() ? x.value() : Tensor(), x_shape = x.shape(), x_slot = x.slot(), w,
                     bias_slot = bias ? bias->slot() : nullptr,
                     residual_slot = residual ? residual->slot() : nullptr](const Tensor& dy) {
    Backend& b = graph.backend();
    if (w.slot()) b.linear_grad_weight(dy, x_value, w.slot()->grad);
    if (bias_slot) b.linear_grad_bias(dy, bias_slot->grad);
    if (x_slot) {
      if (x_slot->grad) {
        b.linear_grad_input(dy, w.value(), x_slot->grad, Write::kAdd);
      } else {
        Tensor dx = b.empty(x_shape);
        b.linear_grad_input(dy, w.value(), dx, Write::kSet);
        x_slot->grad = dx;
      }
    }
    graph.accumulate(residual_slot, dy);
  });
  return out;
}

}  // namespace vlmr1::ops
