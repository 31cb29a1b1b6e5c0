#include "ops/rows.h"

namespace vlmr1::ops {

namespace {
void check_index(const char* op, const std::vector<int32_t>& index, int64_t rows) {
  for (int32_t i : index)
    check(i >= 0 && i < rows, ErrorCode::kTokens, op, ": expected an index in [0, ", rows, "), got ", i);
}
}  // namespace

Tensor upload_index(Backend& backend, const std::vector<int32_t>& index) {
  Tensor t = backend.empty({static_cast<int64_t>(index.size())}, DType::kI32);
  backend.upload(t, index.data());
  return t;
}

Variable embedding(Graph& graph, const Variable& table, const std::vector<int32_t>& tokens) {
  check_index("embedding", tokens, table.shape()[0]);
  Backend& backend = graph.backend();
  const Tensor index = upload_index(backend, tokens);
  Tensor y = backend.empty({index.numel(), table.shape()[1]});
  backend.gather_rows(table.value(), index, y);
  Variable out = graph.result(y, {&table});
  graph.record(out, [&graph, slot = table.slot(), index](const Tensor& dy) {
    graph.backend().scatter_add_rows(dy, index, slot->grad);
  });
  return out;
}

Variable gather_rows(Graph& graph, const Variable& x, const std::vector<int32_t>& rows) {
  check_index("gather_rows", rows, x.shape().rows());
  Backend& backend = graph.backend();
  const Tensor index = upload_index(backend, rows);
  Tensor y = backend.empty({index.numel(), x.shape().cols()});
  backend.gather_rows(x.value(), index, y);
  Variable out = graph.result(y, {&x});
  graph.record(out, [&graph, slot = x.slot(), shape = x.shape(), index](const Tensor& dy) {
    Tensor dx = graph.backend().zeros(shape);
    graph.backend().scatter_add_rows(dy, index, dx);
    graph.accumulate(slot, dx);
  });
  return out;
}

Variable replace_rows(Graph& graph, const Variable& x, const Variable& rows, const std::vector<int32_t>& where) {
  check_index("replace_rows", where, x.shape().rows());
  check(rows.shape().rows() == static_cast<int64_t>(where.size()) && rows.shape().cols() == x.shape().cols(),
        ErrorCode::kShape, "replace_rows: ", rows.shape().str(), " into ", where.size(), " rows of ", x.shape().str());
  Backend& backend = graph.backend();
  const Tensor index = upload_index(backend, where);
  Tensor y = backend.empty(x.shape());
  backend.copy(x.value(), y);
  backend.scatter_rows(rows.value(), index, y);
  Variable out = graph.result(y, {&x, &rows});
  graph.record(
      out, [&graph, x_slot = x.slot(), rows_slot = rows.slot(), rows_shape = rows.shape(), index](const Tensor& dy) {
        if (rows_slot) {
          Tensor drows = graph.backend().empty(rows_shape);
          graph.backend().gather_rows(dy, index, drows);
          graph.accumulate(rows_slot, drows);
        }
        if (x_slot) {
          Tensor dx = dy;  // this op is the only reader of its output's gradient
          graph.backend().zero_rows(index, dx);
          graph.accumulate(x_slot, dx);
        }
      });
  return out;
}

Variable reshape(Graph& graph, const Variable& x, Shape shape) {
  Variable out = graph.result(x.value().reshaped(shape), {&x});
  graph.record(out, [&graph, slot = x.slot(), from = x.shape()](const Tensor& dy) {
    graph.accumulate(slot, dy.reshaped(from));
  });
  return out;
}

}  // namespace vlmr1::ops
