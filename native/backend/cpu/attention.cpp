// Attention over a segment tree: forward, and the store that keeps a tree between calls. The backward pass is in
// attention_grad.cpp.
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/attention_tile.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kv_store.h"

namespace vlmr1::cpu {

std::vector<QueryTile> cut_tiles(const SegmentTree& tree, const std::vector<QueryRun>& runs, int64_t heads_per_group) {
  const int32_t room = static_cast<int32_t>(std::max<int64_t>(1, kQueryRows / heads_per_group));
  std::vector<QueryTile> tiles;
  int64_t row = 0;
  for (const QueryRun& run : runs) {
    const int32_t parent = tree.segments[run.segment].parent;
    for (int32_t done = 0; done < run.count;) {
      const bool fresh = tiles.empty() || tiles.back().parent != parent || tiles.back().tokens == room ||
                         (parent < 0 && tiles.back().pieces.back().segment != run.segment);
      if (fresh) tiles.push_back({parent, 0, {}});
      QueryTile& tile = tiles.back();
      const int32_t count = std::min(run.count - done, room - tile.tokens);
      tile.pieces.push_back({run.segment, run.first + done, count, row + done});
      tile.tokens += count;
      done += count;
    }
    row += run.count;
  }
  return tiles;
}

void load_rows(const QueryTile& tile, const float* x, const AttentionShape& shape, int64_t kv_head, float scale,
               float* out) {
  const int64_t d = shape.head_size;
  const int64_t group = shape.query_heads / shape.kv_heads;
  for (const TilePiece& piece : tile.pieces) {
    for (int32_t i = 0; i < piece.count; ++i) {
      const float* in = x + ((piece.row + i) * shape.query_heads + kv_head * group) * d;
      for (int64_t h = 0; h < group; ++h, in += d, out += kHeadStride)
        for (int64_t j = 0; j < d; ++j) out[j] = in[j] * scale;
    }
  }
}

namespace {

class TileForward {
 public:
  TileForward(const KernelTable& kernels, const CpuKvStore& store, const SegmentTree& tree, TileScratch& scratch)
      : kernels_(kernels), store_(store), tree_(tree), s_(scratch) {}

  void run(const QueryTile& tile, const float* q, int64_t kv_head, float* out, float* lse) {
    const AttentionShape& shape = store_.shape();
    const int group = static_cast<int>(shape.query_heads / shape.kv_heads);
    const int rows = tile.tokens * group;
    load_rows(tile, q, shape, kv_head, shape.scale, s_.q);
    for (int r = 0; r < rows; ++r) {
      s_.max[r] = -std::numeric_limits<float>::infinity();
      s_.sum[r] = 0.0f;
      std::memset(s_.out + r * kHeadStride, 0, shape.head_size * sizeof(float));
    }
    if (tile.parent >= 0) {
      for (int32_t a : tree_.ancestors(tile.parent)) whole(a, kv_head, rows);
      whole(tile.parent, kv_head, rows);
    }
    int row = 0;
    for (const TilePiece& piece : tile.pieces) {
      own(piece, kv_head, row, group);
      row += piece.count * group;
    }
    write(tile, kv_head, group, out, lse);
  }

 private:
  void block(int32_t segment, int64_t index, int64_t kv_head, int row, int rows, int keys) {
    AttentionBlock b{};
    b.rows = rows;
    b.keys = keys;
    b.visible = s_.visible + row;
    b.head_size = store_.shape().head_size;
    b.q = s_.q + row * kHeadStride;
    b.kt = store_.keys(segment, index, kv_head);
    b.v = store_.values(segment, index, kv_head);
    b.scores = s_.scores;
    b.out = s_.out + row * kHeadStride;
    b.max = s_.max + row;
    b.sum = s_.sum + row;
    kernels_.attention_block(b);
  }

  // All rows see all of an ancestor.
  void whole(int32_t segment, int64_t kv_head, int rows) {
    const int64_t length = store_.segment(segment).length;
    for (int64_t key0 = 0; key0 < length; key0 += kKeyBlock) {
      const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, length - key0));
      for (int r = 0; r < rows; ++r) s_.visible[r] = keys;
      block(segment, key0 / kKeyBlock, kv_head, 0, rows, keys);
    }
  }

  void own(const TilePiece& piece, int64_t kv_head, int row, int group) {
    const Segment& segment = tree_.segments[piece.segment];
    const int64_t length = store_.segment(piece.segment).length;
    for (int64_t key0 = 0; key0 < length; key0 += kKeyBlock) {
      const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, length - key0));
      if (segment.causal && key0 > piece.first + piece.count - 1) break;
      for (int32_t i = 0; i < piece.count; ++i) {
        const int sees = visible_keys(segment, piece.first + i, key0, keys);
        for (int h = 0; h < group; ++h) s_.visible[row + i * group + h] = sees;
      }
      block(piece.segment, key0 / kKeyBlock, kv_head, row, piece.count * group, keys);
    }
  }

  void write(const QueryTile& tile, int64_t kv_head, int group, float* out, float* lse) {
    const AttentionShape& shape = store_.shape();
    const int64_t d = shape.head_size;
    int r = 0;
    for (const TilePiece& piece : tile.pieces) {
      for (int32_t i = 0; i < piece.count; ++i) {
        for (int h = 0; h < group; ++h, ++r) {
          const int64_t at = (piece.row + i) * shape.query_heads + kv_head * group + h;
          const float inverse = 1.0f / s_.sum[r];
          for (int64_t j = 0; j < d; ++j) out[at * d + j] = s_.out[r * kHeadStride + j] * inverse;
          if (lse) lse[at] = s_.max[r] + std::log(s_.sum[r]);
        }
      }
    }
  }

  const KernelTable& kernels_;
  const CpuKvStore& store_;
  const SegmentTree& tree_;
  TileScratch& s_;
};

void check_shape(const AttentionShape& s) {
  check(s.kv_heads > 0 && s.query_heads > 0 && s.query_heads % s.kv_heads == 0, ErrorCode::kShape,
        "attention: ", s.query_heads, " query heads are not a multiple of ", s.kv_heads, " key/value heads");
  check(s.query_heads / s.kv_heads <= kQueryRows, ErrorCode::kShape, "attention: more than ", kQueryRows,
        " query heads share a key/value head");
  check(s.head_size > 0 && s.head_size <= kMaxHeadSize, ErrorCode::kShape, "attention: expected a head size up to ",
        kMaxHeadSize, ", got ", s.head_size);
}

std::vector<QueryRun> all_runs(const SegmentTree& tree) {
  std::vector<QueryRun> runs;
  for (size_t i = 0; i < tree.segments.size(); ++i)
    runs.push_back({static_cast<int32_t>(i), 0, tree.segments[i].length});
  return runs;
}

}  // namespace

std::unique_ptr<KvStore> CpuBackend::kv_create(const AttentionShape& shape) {
  check_shape(shape);
  return std::make_unique<CpuKvStore>(shape, MemoryKind::kKvCache);
}

void CpuBackend::kv_release(KvStore& store, int32_t segment) {
  auto& segments = static_cast<CpuKvStore&>(store).segments();
  if (segment < static_cast<int32_t>(segments.size())) segments[segment] = {};
}

void CpuBackend::kv_append(KvStore& base, const std::vector<QueryRun>& runs, const Tensor& k, const Tensor& v) {
  CpuKvStore& store = static_cast<CpuKvStore&>(base);
  const AttentionShape shape = store.shape();
  auto& segments = store.segments();
  const MemoryScope scope(store.kind());
  for (const QueryRun& run : runs) {
    if (run.segment >= static_cast<int32_t>(segments.size())) segments.resize(run.segment + 1);
    CpuKvStore::Segment& s = segments[run.segment];
    check(run.first == s.length, ErrorCode::kState, "kv_append: expected token ", s.length, ", got ", run.first);
    s.length += run.count;
    const int64_t have = static_cast<int64_t>(s.blocks.size());
    const int64_t fresh = (s.length + kKeyBlock - 1) / kKeyBlock - have;
    if (fresh <= 0) continue;
    // One slab for the segment's new blocks, so that it gives back all it has when it is released; a vector past the
    // end, where kernels read whole vectors.
    s.slabs.push_back(memory_->allocate((fresh * store.block_floats() + kHeadStride) * sizeof(float)));
    float* first = static_cast<float*>(s.slabs.back()->data);
    for (int64_t i = 0; i < fresh; ++i) s.blocks.push_back(first + i * store.block_floats());
  }
  const float* pk = k.data<float>();
  const float* pv = v.data<float>();
  const int64_t d = shape.head_size;
  const int64_t work = k.numel();
  const auto copy_head = [&](int64_t head) {
    int64_t row = 0;
    for (const QueryRun& run : runs) {
      CpuKvStore::Segment& s = segments[run.segment];
      for (int32_t i = 0; i < run.count; ++i, ++row) {
        const int64_t at = run.first + i;
        float* kt = s.blocks[at / kKeyBlock] + head * store.head_floats();
        const float* in = pk + (row * shape.kv_heads + head) * d;
        for (int64_t j = 0; j < d; ++j) kt[j * kKeyBlock + at % kKeyBlock] = in[j];
        std::memcpy(kt + d * kKeyBlock + at % kKeyBlock * d, pv + (row * shape.kv_heads + head) * d, d * sizeof(float));
      }
    }
  };
  const int64_t grain = work > 32'768 ? 1 : shape.kv_heads;
  ranges(shape.kv_heads, grain, [&](int64_t b, int64_t e) {
    for (int64_t head = b; head < e; ++head) copy_head(head);
  });
}

void CpuBackend::kv_attend(const Tensor& q, const KvStore& base, const SegmentTree& tree,
                           const std::vector<QueryRun>& runs, const AttentionShape& shape, Tensor& out, Tensor* lse) {
  const CpuKvStore& store = static_cast<const CpuKvStore&>(base);
  const auto tiles = cut_tiles(tree, runs, shape.query_heads / shape.kv_heads);
  const MemoryScope scope(MemoryKind::kWorkspace);
  const auto scratch = memory_->allocate(pool_.threads() * sizeof(TileScratch));
  const float* pq = q.data<float>();
  float* po = out.data<float>();
  float* pl = lse ? lse->data<float>() : nullptr;
  const int64_t count = static_cast<int64_t>(tiles.size());
  pool_.run(count * shape.kv_heads, [&](int64_t task, int thread) {
    TileScratch& s = static_cast<TileScratch*>(scratch->data)[thread];
    TileForward(kernels_, store, tree, s).run(tiles[task % count], pq, task / count, po, pl);
  });
}

void CpuBackend::kv_attention(const Tensor& q, KvStore& store, const SegmentTree& tree,
                              const std::vector<QueryRun>& runs, const AttentionShape& shape, Tensor& out) {
  kv_attend(q, store, tree, runs, shape, out, nullptr);
}

void CpuBackend::attention(const Tensor& q, const Tensor& k, const Tensor& v, const SegmentTree& tree,
                           const AttentionShape& shape, Tensor& out, Tensor* lse) {
  check_shape(shape);
  CpuKvStore store(shape, MemoryKind::kWorkspace);
  const auto runs = all_runs(tree);
  kv_append(store, runs, k, v);
  kv_attend(q, store, tree, runs, shape, out, lse);
}

}  // namespace vlmr1::cpu
