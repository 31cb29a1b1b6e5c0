#pragma once

#include "autograd/graph.h"

namespace vlmr1::ops {

// x [T, E], w [F, E], bias [F] or null, residual [T, F] or null → x·wᵀ + bias + residual [T, F].
Variable linear(Graph& graph, const Variable& x, const Variable& w, const Variable* bias, const Variable* residual);

}  // namespace vlmr1::ops
