// Losses as JavaScript writes them, by lib/engine/native-types.ts.
#pragma once

#include <vector>

#include "binding/reader.h"
#include "rl/objective.h"

namespace vlmr1::binding {

// Tokens of each completion, [group][completion].
using Lengths = std::vector<std::vector<size_t>>;

// GrpoLossArgs or SftLossArgs for completions of these lengths.
Objective read_objective(const Reader& loss, const Lengths& lengths);

struct ComputeLossArguments {
  TokenScores scores;
  Objective objective;
};
ComputeLossArguments read_compute_loss(const Reader& args);

}  // namespace vlmr1::binding
