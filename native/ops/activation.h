#pragma once

#include "autograd/graph.h"

namespace vlmr1::ops {

// silu(gate) · up, elementwise.
Variable swiglu(Graph& graph, const Variable& gate, const Variable& up);
// Exact GELU (erf).
Variable gelu(Graph& graph, const Variable& x);

}  // namespace vlmr1::ops
