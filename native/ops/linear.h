#pragma once

#include "autograd/graph.h"

namespace vlmr1::ops {

// x [T, E], w [F, E], bias [F] or null, residual [T, F] or null → x·wᵀ + bias + residual [T, F].
Variable linear(Graph& graph, const Variable& x, const Variable& w, const Variable* bias, const Variable* residual);

struct LinearWeight {
  Variable w;     // [F, E]
  Variable bias;  // [F] or empty
};

// silu(x·w_gateᵀ + bias) · (x·w_upᵀ + bias) [T, F]: x is read once for both.
Variable linear_swiglu(Graph& graph, const Variable& x, const LinearWeight& gate, const LinearWeight& up);

}  // namespace vlmr1::ops
