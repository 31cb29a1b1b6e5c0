#pragma once

#include "autograd/graph.h"

namespace vlmr1::ops {

// Angles of a batch, [T, D/2] each.
struct RopeTable {
  Tensor cos;
  Tensor sin;
};

// x [T, heads·D]: pairs (i, i + D/2) of every head are turned by the table's angles.
Variable rope(Graph& graph, const Variable& x, const RopeTable& table, int64_t head_size);

}  // namespace vlmr1::ops
