#pragma once

#include "autograd/graph.h"

namespace vlmr1::ops {

// silu(gate) · up, elementwise.
Variable swiglu(Graph& graph, const Variable& gate, const Variable& up);
Variable gelu(Graph& graph, const Variable& x, GeluKind kind);
// factor · x
Variable scale(Graph& graph, const Variable& x, float factor);
// Each element is 0 with probability p in [0, 1), otherwise x / (1 − p). Which ones is a function of seed, stream and
// the element's index alone. p = 0 gives x itself.
Variable dropout(Graph& graph, const Variable& x, float p, uint64_t seed, uint64_t stream);

}  // namespace vlmr1::ops
