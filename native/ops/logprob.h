#pragma once

#include <vector>

#include "autograd/graph.h"

namespace vlmr1::ops {

struct HeadLogProb {
  Variable logp;     // [N]
  Variable entropy;  // [N], of the whole distribution
};

// h [N, E], w [V, E], targets [N] → log softmax(h·wᵀ / temperature) at the targets, chunk by chunk: the logits of all
// rows never exist at once. `chunk_rows` 0: as many as fit 64 MiB.
HeadLogProb head_log_prob(Graph& graph, const Variable& h, const Variable& w, const std::vector<int32_t>& targets,
                          float temperature, int64_t chunk_rows = 0);

}  // namespace vlmr1::ops
