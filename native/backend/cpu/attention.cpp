// Attention over a segment tree, forward. The keys and values that it reads are in kv_store.cpp, the backward pass is
// in attention_grad.cpp.
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/attention_tile.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kv_store.h"

namespace vlmr1::cpu {

std::vector<QueryTile> cut_tiles(const SegmentTree& tree, const std::vector<QueryRun>& runs, int32_t group,
                                 int32_t room, int32_t multiple) {
  std::vector<QueryTile> tiles;
  int64_t row = 0;
  for (const QueryRun& run : runs) {
    const int32_t parent = tree.segments[run.segment].parent;
    for (int32_t done = 0; done < run.count;) {
      const bool fresh = tiles.empty() || tiles.back().parent != parent || tiles.back().rows + group > room ||
                         (parent < 0 && tiles.back().pieces.back().segment != run.segment);
      if (fresh) tiles.push_back({parent, 0, {}});
      QueryTile& tile = tiles.back();
      const int32_t count = std::min(run.count - done, (room - tile.rows) / group);
      const int32_t rows = (count * group + multiple - 1) / multiple * multiple;
      tile.pieces.push_back({run.segment, run.first + done, count, row + done, tile.rows, rows});
      tile.rows += rows;
      done += count;
    }
    row += run.count;
  }
  return tiles;
}

namespace {

struct alignas(64) ForwardScratch {
  float q[kQueryRows * kHeadStride];
  float out[kQueryRows * kHeadStride];
  float scores[kQueryRows * kHeadStride];
  float max[kQueryRows], sum[kQueryRows], factor[kQueryRows];
  int visible[kQueryRows];
  const float* rows[kQueryRows];
  float keys[2 * kMaxHeadSize * kKeyBlock + kHeadStride];
};

class TileForward {
 public:
  TileForward(const KernelTable& kernels, const float* k, const float* v, const CpuKvStore& store,
              const SegmentTree& tree, ForwardScratch& scratch)
      : kernels_(kernels),
        k_(k),
        v_(v),
        store_(store),
        tree_(tree),
        s_(scratch),
        group_(static_cast<int32_t>(store.shape().query_heads / store.shape().kv_heads)) {}

  void run(const QueryTile& tile, const float* q, int64_t kv_head, float* out, float* lse) {
    start(tile, q, kv_head);
    if (tile.parent >= 0) {
      for (int32_t above : tree_.ancestors(tile.parent)) whole(tile, above, kv_head);
      whole(tile, tile.parent, kv_head);
    }
    for (const TilePiece& piece : tile.pieces) own(piece, kv_head);
    write(tile, kv_head, out, lse);
  }

 private:
  bool pairs() const { return store_.shape().products == DType::kBF16; }

  void start(const QueryTile& tile, const float* q, int64_t kv_head) {
    const AttentionShape& shape = store_.shape();
    row_pointers(tile, shape, kv_head, q, s_.rows);
    kernels_.attention_pack_queries(
        {tile.rows, s_.rows, shape.head_size, shape.scale, pairs(), s_.q, /*along_rows=*/nullptr});
    for (int32_t r = 0; r < tile.rows; ++r) {
      s_.max[r] = -std::numeric_limits<float>::infinity();
      s_.sum[r] = 0.0f;
      std::memset(s_.out + r * kHeadStride, 0, shape.head_size * sizeof(float));
    }
  }

  bool held(int32_t segment) const { return store_.segment(segment).length > 0; }

  // The block of a segment that only this tile reads.
  void pack_own(int32_t segment, int64_t index, int64_t kv_head, int keys) {
    const AttentionShape& shape = store_.shape();
    const int64_t token = tree_.segments[segment].start + index * kKeyBlock;
    const int64_t at = (token * shape.kv_heads + kv_head) * shape.head_size;
    pack_keys_values(kernels_, shape, k_ + at, v_ + at, 0, keys, s_.keys);
  }

  void block(int32_t segment, int64_t index, int64_t kv_head, int row, int rows, int keys) {
    AttentionBlock b{};
    b.pairs = pairs();
    b.rows = rows;
    b.keys = keys;
    b.visible = s_.visible + row;
    b.head_size = store_.shape().head_size;
    b.q = s_.q + row * kHeadStride;
    if (held(segment)) {
      b.kt = store_.keys(segment, index, kv_head);
      b.v = store_.values(segment, index, kv_head);
    } else {
      pack_own(segment, index, kv_head, keys);
      b.kt = s_.keys;
      b.v = s_.keys + transposed_words(store_.shape());
    }
    b.scores = s_.scores;
    b.factor = s_.factor;
    b.out = s_.out + row * kHeadStride;
    b.max = s_.max + row;
    b.sum = s_.sum + row;
    kernels_.attention_block(b);
  }

  void whole(const QueryTile& tile, int32_t segment, int64_t kv_head) {
    const int64_t length = store_.segment(segment).length;
    for (int64_t key0 = 0; key0 < length; key0 += kKeyBlock) {
      const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, length - key0));
      all_visible(tile, group_, keys, s_.visible);
      block(segment, key0 / kKeyBlock, kv_head, 0, tile.rows, keys);
    }
  }

  void own(const TilePiece& piece, int64_t kv_head) {
    const Segment& segment = tree_.segments[piece.segment];
    const int64_t length = held(piece.segment) ? store_.segment(piece.segment).length : segment.length;
    for (int64_t key0 = 0; key0 < length; key0 += kKeyBlock) {
      const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, length - key0));
      if (segment.causal && key0 > piece.first + piece.count - 1) break;
      own_visible(segment, piece, group_, key0, keys, s_.visible);
      block(piece.segment, key0 / kKeyBlock, kv_head, piece.at, piece.rows, keys);
    }
  }

  void write(const QueryTile& tile, int64_t kv_head, float* out, float* lse) {
    const AttentionShape& shape = store_.shape();
    for (const TilePiece& piece : tile.pieces) {
      for (int32_t i = 0; i < piece.count * group_; ++i) {
        const int32_t r = piece.at + i;
        const int64_t at = (piece.row + i / group_) * shape.query_heads + kv_head * group_ + i % group_;
        kernels_.scale(s_.out + r * kHeadStride, 1.0f / s_.sum[r], out + at * shape.head_size, shape.head_size);
        if (lse) lse[at] = s_.max[r] + std::log(s_.sum[r]);
      }
    }
  }

  const KernelTable& kernels_;
  const float *k_, *v_;
  const CpuKvStore& store_;
  const SegmentTree& tree_;
  ForwardScratch& s_;
  int32_t group_;
};

}  // namespace

void CpuBackend::kv_attend(const Tensor& q, const float* k, const float* v, const KvStore& base,
                           const SegmentTree& tree, const std::vector<QueryRun>& runs, Tensor& out, Tensor* lse) {
  const CpuKvStore& store = static_cast<const CpuKvStore&>(base);
  const AttentionShape& shape = store.shape();
  const auto tiles = cut_tiles(tree, runs, static_cast<int32_t>(shape.query_heads / shape.kv_heads), kQueryRows, 1);
  const MemoryScope scope(MemoryKind::kWorkspace);
  const auto scratch = memory_->allocate(pool_.threads() * sizeof(ForwardScratch));
  const float* pq = q.data<float>();
  float* po = out.data<float>();
  float* pl = lse ? lse->data<float>() : nullptr;
  const int64_t count = static_cast<int64_t>(tiles.size());
  // Heads that lie side by side in memory follow each other, unless tiles share the keys of a head. Late tiles of a
  // sequence see the most: the longest work comes first.
  const bool shares = std::any_of(store.segments().begin(), store.segments().end(),
                                  [](const CpuKvStore::Segment& segment) { return segment.length > 0; });
  pool_.run(count * shape.kv_heads, [&](int64_t task, int thread) {
    ForwardScratch& s = static_cast<ForwardScratch*>(scratch->data)[thread];
    const int64_t tile = count - 1 - (shares ? task % count : task / shape.kv_heads);
    const int64_t head = shares ? task / count : task % shape.kv_heads;
    TileForward(kernels_, k, v, store, tree, s).run(tiles[tile], pq, head, po, pl);
  });
}

void CpuBackend::kv_attention(const Tensor& q, KvStore& store, const SegmentTree& tree,
                              const std::vector<QueryRun>& runs, const AttentionShape&, Tensor& out) {
  kv_attend(q, nullptr, nullptr, store, tree, runs, out, nullptr);
}

void CpuBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, const SegmentTree& tree,
                           const AttentionShape& shape, Tensor& out, Tensor* lse) {
  check_attention_shape(shape);
  const auto once = read_once(tree, shape.query_heads / shape.kv_heads, kQueryRows);
  std::vector<QueryRun> all, held;
  std::vector<int64_t> rows;
  for (size_t i = 0; i < tree.segments.size(); ++i) {
    all.push_back({static_cast<int32_t>(i), 0, tree.segments[i].length});
    if (once[i]) continue;
    held.push_back(all.back());
    rows.push_back(tree.segments[i].start);
  }
  CpuKvStore store(shape, MemoryKind::kWorkspace);
  store.segments().resize(tree.segments.size());
  append_rows(store, held, rows, k, v);
  kv_attend(q, k.data<float>(), v.data<float>(), store, tree, all, out, lse);
}

}  // namespace vlmr1::cpu
