#include "ops/linear.h"

namespace vlmr1::ops {

namespace {

void check_linear(const char* name, const Variable& x, const Variable& w, const Variable* bias) {
  check(w.shape().rank() == 2 && x.shape().cols() == w.shape()[1], ErrorCode::kShape, name, ": x ", x.shape().str(),
        " does not fit w ", w.shape().str());
  check(!bias || bias->shape() == Shape{w.shape()[0]}, ErrorCode::kShape, name, ": expected bias [", w.shape()[0], "]");
}

// What the backward pass of x·wᵀ + bias needs. x itself is kept only where w has a gradient.
struct LinearGrad {
  LinearGrad(const Variable& x, const Variable& w, const Variable* bias)
      : x(w.needs_grad() ? x.value() : Tensor()),
        x_shape(x.shape()),
        x_slot(x.slot()),
        w(w),
        bias_slot(bias ? bias->slot() : nullptr) {}

  void operator()(Backend& backend, const Tensor& dy) const {
    if (w.slot()) backend.linear_grad_weight(dy, x, w.slot()->grad);
    if (bias_slot) backend.linear_grad_bias(dy, bias_slot->grad);
    if (!x_slot) return;
    if (x_slot->grad) {
      backend.linear_grad_input(dy, w.value(), x_slot->grad, Write::kAdd);
    } else {
      Tensor dx = backend.empty(x_shape);
      backend.linear_grad_input(dy, w.value(), dx, Write::kSet);
      x_slot->grad = dx;
    }
  }

  Tensor x;
  Shape x_shape;
  std::shared_ptr<GradSlot> x_slot;
  Variable w;
  std::shared_ptr<GradSlot> bias_slot;
};

}  // namespace

Variable linear(Graph& graph, const Variable& x, const Variable& w, const Variable* bias, const Variable* residual) {
  check_linear("linear", x, w, bias);
  const int64_t rows = x.shape().rows();
  const int64_t out_features = w.shape()[0];
  check(!residual || (residual->shape().rows() == rows && residual->shape().cols() == out_features), ErrorCode::kShape,
        "linear: expected residual [", rows, ", ", out_features, "]");
  Backend& backend = graph.backend();
  Tensor y = backend.empty({rows, out_features});
  backend.linear(x.value(), w.value(), bias ? &bias->value() : nullptr, residual ? &residual->value() : nullptr, y);
  Variable out = graph.result(y, {&x, &w, bias, residual});
  graph.record(out, [&graph, grad = LinearGrad(x, w, bias),
                     residual_slot = residual ? residual->slot() : nullptr](const Tensor& dy) {
    grad(graph.backend(), dy);
    graph.accumulate(residual_slot, dy);
  });
  return out;
}

Variable linear_swiglu(Graph& graph, const Variable& x, const LinearWeight& gate, const LinearWeight& up) {
  const auto bias_of = [](const LinearWeight& linear) { return linear.bias.value() ? &linear.bias : nullptr; };
  const auto tensor_of = [](const Variable* v) { return v ? &v->value() : nullptr; };
  const Variable* gate_bias = bias_of(gate);
  const Variable* up_bias = bias_of(up);
  check_linear("linear_swiglu", x, gate.w, gate_bias);
  check_linear("linear_swiglu", x, up.w, up_bias);
  check(gate.w.shape() == up.w.shape(), ErrorCode::kShape, "linear_swiglu: gate ", gate.w.shape().str(), ", up ",
        up.w.shape().str());
  Backend& backend = graph.backend();
  const Shape shape{x.shape().rows(), gate.w.shape()[0]};
  Tensor y = backend.empty(shape);
  Tensor g = backend.empty(shape);
  Tensor u = backend.empty(shape);
  backend.linear_swiglu(x.value(), {&gate.w.value(), &up.w.value(), tensor_of(gate_bias), tensor_of(up_bias)}, g, u, y);
  Variable out = graph.result(y, {&x, &gate.w, &up.w, gate_bias, up_bias});
  graph.record(out, [&graph, g, u, gate_grad = LinearGrad(x, gate.w, gate_bias),
                     up_grad = LinearGrad(x, up.w, up_bias)](const Tensor& dy) {
    Backend& b = graph.backend();
    Tensor dgate = b.empty(dy.shape());
    Tensor dup = b.empty(dy.shape());
    b.swiglu_grad(dy, g, u, dgate, dup);
    up_grad(b, dup);
    gate_grad(b, dgate);
  });
  return out;
}

}  // namespace vlmr1::ops
