#include <map>

#include "backend/cpu/attention_grad.h"

namespace vlmr1::cpu {

namespace {

// Tasks that a tree is cut into, together with its key/value heads: enough for the cores of most machines, and the
// copies of dk and dv stay a small multiple of q.
constexpr int64_t kTasks = 16;
// Products of a query row with a key in a chunk, at least; and in a slice, times the head size, at most.
constexpr int64_t kChunkWork = 16 * kQueryRows * kKeyBlock;
constexpr int64_t kSliceWork = 4096 * kQueryRows * kKeyBlock;

// The trees of the batch: segments from a root down, in order.
std::vector<std::vector<int32_t>> split_trees(const SegmentTree& tree) {
  std::vector<std::vector<int32_t>> trees;
  std::vector<size_t> of(tree.segments.size());
  for (size_t s = 0; s < tree.segments.size(); ++s) {
    const int32_t parent = tree.segments[s].parent;
    if (parent < 0) trees.emplace_back();
    of[s] = parent < 0 ? trees.size() - 1 : of[parent];
    trees[of[s]].push_back(static_cast<int32_t>(s));
  }
  return trees;
}

int64_t own_keys(const SegmentTree& tree, const TilePiece& piece) {
  const Segment& s = tree.segments[piece.segment];
  return s.causal ? piece.first + piece.count : s.length;
}

int64_t work(const SegmentTree& tree, const QueryTile& tile) {
  int64_t above = 0;
  for (int32_t s = tile.parent; s >= 0; s = tree.segments[s].parent) above += tree.segments[s].length;
  int64_t total = 0;
  for (const TilePiece& piece : tile.pieces) total += piece.rows * (above + own_keys(tree, piece));
  return total;
}

void see(const SegmentTree& tree, const QueryTile& tile, std::map<int32_t, int64_t>& seen) {
  for (int32_t s = tile.parent; s >= 0; s = tree.segments[s].parent) seen[s] = tree.segments[s].length;
  for (const TilePiece& piece : tile.pieces) {
    int64_t& keys = seen[piece.segment];
    keys = std::max(keys, own_keys(tree, piece));
  }
}

void cut_tree(const SegmentTree& tree, const std::vector<int32_t>& segments, const AttentionShape& shape,
              std::vector<GradChunk>& chunks) {
  std::vector<QueryRun> runs;
  for (int32_t s : segments) runs.push_back({s, 0, tree.segments[s].length});
  std::vector<QueryTile> tiles =
      cut_tiles(tree, runs, static_cast<int32_t>(shape.query_heads / shape.kv_heads), kGradRows, 2);
  int64_t total = 0;
  for (const QueryTile& tile : tiles) total += work(tree, tile);
  const int64_t count = std::clamp<int64_t>(total / kChunkWork, 1, std::max<int64_t>(1, kTasks / shape.kv_heads));
  int64_t done = 0;
  int64_t in_slice = 0;
  std::map<int32_t, int64_t> seen;
  const size_t first = chunks.size();
  for (size_t i = 0; i < tiles.size(); ++i) {
    const int64_t order = static_cast<int64_t>(chunks.size() - first);
    if (order == 0 || done * count >= order * total) {
      chunks.push_back({});
      chunks.back().order = static_cast<int32_t>(order);
      in_slice = 0;
      seen.clear();
    }
    GradChunk& chunk = chunks.back();
    for (TilePiece& piece : tiles[i].pieces) piece.row = tree.segments[piece.segment].start + piece.first;
    const int64_t more = work(tree, tiles[i]);
    done += more;
    in_slice += more * shape.head_size;
    if (chunk.slices.empty() || in_slice > kSliceWork) {
      chunk.slices.push_back(0);
      in_slice = more * shape.head_size;
    }
    see(tree, tiles[i], seen);
    chunk.tiles.push_back(std::move(tiles[i]));
    chunk.slices.back() = chunk.tiles.size();
    chunk.keys.clear();
    for (const auto& [segment, keys] : seen) {
      const int64_t start = tree.segments[segment].start;
      chunk.keys.push_back({start, start + keys});
    }
  }
  chunks[first].only = chunks.size() == first + 1;
  chunks[first].keys.clear();
  for (int32_t s : segments)
    chunks[first].keys.push_back({tree.segments[s].start, tree.segments[s].start + tree.segments[s].length});
}

}  // namespace

std::vector<GradChunk> cut_chunks(const SegmentTree& tree, const AttentionShape& shape) {
  std::vector<GradChunk> chunks;
  for (const auto& segments : split_trees(tree)) cut_tree(tree, segments, shape, chunks);
  return chunks;
}

}  // namespace vlmr1::cpu
