#include "ops/rope.h"

namespace vlmr1::ops {

Variable rope(Graph& graph, const Variable& x, const RopeTable& table, int64_t head_size) {
  check(head_size % 2 == 0 && x.shape().cols() % head_size == 0 && table.cos.shape() == table.sin.shape() &&
            table.cos.shape() == Shape({x.shape().rows(), head_size / 2}),
        ErrorCode::kShape, "rope: x ", x.shape().str(), ", head size ", head_size, ", table ", table.cos.shape().str());
  Backend& backend = graph.backend();
  Tensor y = backend.empty(x.shape());
  backend.rope(x.value(), table.cos, table.sin, head_size, false, y);
  Variable out = graph.result(y, {&x});
  graph.record(out, [&graph, slot = x.slot(), table, head_size](const Tensor& dy) {
    Tensor dx = graph.backend().empty(dy.shape());
    graph.backend().rope(dy, table.cos, table.sin, head_size, true, dx);
    graph.accumulate(slot, dx);
  });
  return out;
}

}  // namespace vlmr1::ops
