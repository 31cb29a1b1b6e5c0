// Moves of rows by index. Indices are i32 on the host and are checked here.
#pragma once

#include <vector>

#include "autograd/graph.h"

namespace vlmr1::ops {

// i32 tensor of a host vector.
Tensor upload_index(Backend& backend, const std::vector<int32_t>& index);
// table [V, E], tokens [T] → [T, E]; the gradient is summed in the order of the tokens.
Variable embedding(Graph& graph, const Variable& table, const std::vector<int32_t>& tokens);
// x [T, E] → [N, E]; rows may repeat.
Variable gather_rows(Graph& graph, const Variable& x, const std::vector<int32_t>& index);
// x [T, E] with row index[n] replaced by rows[n]; indices differ from each other.
Variable replace_rows(Graph& graph, const Variable& x, const Variable& rows, const std::vector<int32_t>& index);
// [T, E] → other axes, same elements.
Variable reshape(Graph& graph, const Variable& x, Shape shape);

}  // namespace vlmr1::ops
