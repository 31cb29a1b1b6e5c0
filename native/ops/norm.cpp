#include "ops/norm.h"

namespace vlmr1::ops {

Variable rms_norm(Graph& graph, const Variable& x, const Variable& weight, float eps) {
  check(weight.shape() == Shape{x.shape().cols()}, ErrorCode::kShape, "rms_norm: x ", x.shape().str(),
        " does not fit weight ", weight.shape().str());
  Backend& backend = graph.backend();
  Tensor y = backend.empty(x.shape());
  Tensor inv_rms = backend.empty({x.shape().rows()});
  backend.rms_norm(x.value(), weight.value(), eps, y, inv_rms);
  Variable out = graph.result(y, {&x, &weight});
  graph.record(out, [&graph, x, weight, inv_rms](const Tensor& dy) {
    Tensor dx = graph.backend().empty(x.shape());
    graph.backend().rms_norm_grad(dy, x.value(), weight.value(), inv_rms, dx,
                                  weight.slot() ? &weight.slot()->grad : nullptr);
    graph.accumulate(x.slot(), dx);
  });
  return out;
}

Variable layer_norm(Graph& graph, const Variable& x, const Variable& weight, const Variable& bias, float eps) {
  const Shape row{x.shape().cols()};
  check(weight.shape() == row && bias.shape() == row, ErrorCode::kShape, "layer_norm: x ", x.shape().str(),
        " does not fit weight ", weight.shape().str(), " and bias ", bias.shape().str());
  Backend& backend = graph.backend();
  Tensor y = backend.empty(x.shape());
  Tensor mean = backend.empty({x.shape().rows()});
  Tensor inv_std = backend.empty({x.shape().rows()});
  backend.layer_norm(x.value(), weight.value(), bias.value(), eps, y, mean, inv_std);
  Variable out = graph.result(y, {&x, &weight, &bias});
  graph.record(out, [&graph, x, weight, bias_slot = bias.slot(), mean, inv_std](const Tensor& dy) {
    Tensor dx = graph.backend().empty(x.shape());
    graph.backend().layer_norm_grad(dy, x.value(), weight.value(), mean, inv_std, dx,
                                    weight.slot() ? &weight.slot()->grad : nullptr,
                                    bias_slot ? &bias_slot->grad : nullptr);
    graph.accumulate(x.slot(), dx);
  });
  return out;
}

}  // namespace vlmr1::ops
