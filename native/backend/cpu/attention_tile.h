// How queries are cut into tiles. Shared by the forward and the backward pass.
#pragma once

#include <algorithm>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"

namespace vlmr1::cpu {

// Consecutive query tokens of one segment.
struct TilePiece {
  int32_t segment = 0;
  int32_t first = 0;  // index inside the segment
  int32_t count = 0;
  int64_t row = 0;   // row of the first token in the query tensor
  int32_t at = 0;    // first row in the tile: token by token, the heads of a group side by side
  int32_t rows = 0;  // in the tile
};

// Pieces whose segments have the same parent: what lies above them is read once for all.
struct QueryTile {
  int32_t parent = -1;
  int32_t rows = 0;
  std::vector<TilePiece> pieces;
};

// `room`: rows of a tile; `multiple`: those of a piece are filled up to a multiple of it.
std::vector<QueryTile> cut_tiles(const SegmentTree& tree, const std::vector<QueryRun>& runs, int32_t group,
                                 int32_t room, int32_t multiple);

// Segments whose keys nobody else reads and that fit a tile, as vision windows: the tiles that hold them pack them
// themselves, while they are in the cache.
inline std::vector<bool> read_once(const SegmentTree& tree, int64_t group, int64_t room) {
  std::vector<bool> once;
  for (const Segment& s : tree.segments) {
    once.push_back(s.length * group <= room);
    if (s.parent >= 0) once[s.parent] = false;
  }
  return once;
}

// Keys of block `key0 …` that token `position` of the segment sees.
inline int visible_keys(const Segment& segment, int64_t position, int64_t key0, int64_t keys) {
  if (!segment.causal) return static_cast<int>(keys);
  return static_cast<int>(std::clamp<int64_t>(position - key0 + 1, 0, keys));
}

// What the rows of a piece see of a block of their own segment; rows that only fill up see nothing.
inline void own_visible(const Segment& segment, const TilePiece& piece, int32_t group, int64_t key0, int64_t keys,
                        int* visible) {
  std::fill_n(visible + piece.at, piece.rows, 0);
  for (int32_t i = 0; i < piece.count; ++i)
    std::fill_n(visible + piece.at + i * group, group, visible_keys(segment, piece.first + i, key0, keys));
}

// All rows see all keys of a block above them.
inline void all_visible(const QueryTile& tile, int32_t group, int keys, int* visible) {
  for (const TilePiece& piece : tile.pieces) {
    std::fill_n(visible + piece.at, piece.rows, 0);
    std::fill_n(visible + piece.at, piece.count * group, keys);
  }
}

// Where row `at` of a tile finds its numbers in x [T, H·D], null where it only fills up.
inline void row_pointers(const QueryTile& tile, const AttentionShape& shape, int64_t kv_head, const float* x,
                         const float** rows) {
  const int64_t group = shape.query_heads / shape.kv_heads;
  for (const TilePiece& piece : tile.pieces) {
    std::fill_n(rows + piece.at, piece.rows, nullptr);
    for (int32_t i = 0; i < piece.count; ++i) {
      for (int64_t h = 0; h < group; ++h)
        rows[piece.at + i * group + h] =
            x + ((piece.row + i) * shape.query_heads + kv_head * group + h) * shape.head_size;
    }
  }
}

}  // namespace vlmr1::cpu
