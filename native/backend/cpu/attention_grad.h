// How the backward pass of attention is cut into tasks: by the tree and the heads alone, so that the sums of dk and dv
// do not depend on the number of threads.
#pragma once

#include <vector>

#include "backend/cpu/attention_tile.h"

namespace vlmr1::cpu {

// Tokens [begin, end) of the batch.
struct KeyRange {
  int64_t begin = 0, end = 0;
};

// Query tiles of one tree of the batch, which one task per key/value head works through.
struct GradChunk {
  int32_t order = 0;  // among those of the tree
  bool only = false;  // the tree has no other
  std::vector<QueryTile> tiles;
  std::vector<size_t> slices;  // ends of runs of tiles: between them a call can be stopped
  std::vector<KeyRange> keys;  // all keys of the tree for the first chunk, else those that the tiles see
};

// In ascending order among those of one tree.
std::vector<GradChunk> cut_chunks(const SegmentTree& tree, const AttentionShape& shape);

}  // namespace vlmr1::cpu
