#pragma once

#include "autograd/graph.h"

namespace vlmr1::ops {

// x [T, E], weight [E] → x / √(mean(x²) + eps) · weight.
Variable rms_norm(Graph& graph, const Variable& x, const Variable& weight, float eps);

}  // namespace vlmr1::ops
