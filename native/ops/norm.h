#pragma once

#include "autograd/graph.h"

namespace vlmr1::ops {

// x [T, E], weight [E] → x / √(mean(x²) + eps) · weight.
Variable rms_norm(Graph& graph, const Variable& x, const Variable& weight, float eps);
// x [T, E], weight and bias [E] → (x − mean(x)) / √(variance(x) + eps) · weight + bias, over each row.
Variable layer_norm(Graph& graph, const Variable& x, const Variable& weight, const Variable& bias, float eps);

}  // namespace vlmr1::ops
