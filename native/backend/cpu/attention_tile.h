// How queries are cut into tiles, and the scratch of one tile. Shared by the forward and the backward pass.
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
  int64_t row = 0;  // row of the first token in the query tensor
};

// Pieces whose segments have the same parent; together at most kQueryRows / group tokens.
struct QueryTile {
  int32_t parent = -1;
  int32_t tokens = 0;
  std::vector<TilePiece> pieces;
};

std::vector<QueryTile> cut_tiles(const SegmentTree& tree, const std::vector<QueryRun>& runs, int64_t heads_per_group);

// Keys of block `key0 …` that token `position` of the segment sees.
inline int visible_keys(const Segment& segment, int64_t position, int64_t key0, int64_t keys) {
  if (!segment.causal) return static_cast<int>(keys);
  return static_cast<int>(std::clamp<int64_t>(position - key0 + 1, 0, keys));
}

struct TileScratch {
  float q[kQueryRows * kHeadStride];
  float out[kQueryRows * kHeadStride];
  float dout[kQueryRows * kHeadStride];
  float dk[kKeyBlock * kHeadStride];
  float dv[kKeyBlock * kHeadStride];
  float kt[kMaxHeadSize * kKeyBlock];
  float vt[kMaxHeadSize * kKeyBlock];
  float k[kMaxHeadSize * kKeyBlock + kHeadStride];
  float scores[kQueryRows * kKeyBlock];
  float ds[kQueryRows * kKeyBlock];
  float max[kQueryRows], sum[kQueryRows], lse[kQueryRows], delta[kQueryRows];
  int visible[kQueryRows];
};

// Copies the rows of head group `kv_head` of x [T, H·D] into scratch rows (token, head), times `scale`.
void load_rows(const QueryTile& tile, const float* x, const AttentionShape& shape, int64_t kv_head, float scale,
               float* out);

// c [rows, n] (=, +=) a · b, panel by panel.
inline void small_product(const KernelTable& kernels, int rows, int64_t n, int64_t k, const float* a, LeftLayout layout,
                          const float* b, int64_t ldb, float* c, int64_t ldc) {
  MatrixTile t{};
  t.m = rows;
  t.k = k;
  t.a = a;
  t.layout = layout;
  t.ldb = ldb;
  t.ldc = ldc;
  t.accumulate = true;
  for (int64_t n0 = 0; n0 < n; n0 += kernels.panel_width) {
    t.n = std::min<int64_t>(kernels.panel_width, n - n0);
    t.b = b + n0;
    t.c = c + n0;
    kernels.matrix_tile(t);
  }
}

}  // namespace vlmr1::cpu
