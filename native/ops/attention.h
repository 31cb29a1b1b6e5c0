#pragma once

#include "autograd/graph.h"
#include "core/segments.h"

namespace vlmr1::ops {

// q [T, H·D], k and v [T, K·D] → [T, H·D]; who sees whom is in the tree, which covers all T tokens.
Variable attention(Graph& graph, const Variable& q, const Variable& k, const Variable& v,
                   const std::shared_ptr<const SegmentTree>& tree, const AttentionShape& shape);

}  // namespace vlmr1::ops
