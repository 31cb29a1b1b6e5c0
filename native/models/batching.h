// From groups and prompts to packed batches.
#pragma once

#include <vector>

#include "models/model.h"

namespace vlmr1 {

struct PackedGroups {
  PackedBatch batch;
  std::vector<int32_t> rows;     // [N] row that predicts each scored token, group by group, completion by completion
  std::vector<int32_t> targets;  // [N]
};

// Throws ERR_TOKENS for empty prompts or completions, ids out of range, pictures that do not match.
PackedGroups pack_groups(const Model& model, const std::vector<Group>& groups);
// Prompts alone, a segment each.
PackedBatch pack_prompts(const Model& model, const std::vector<const Prompt*>& prompts);

}  // namespace vlmr1
