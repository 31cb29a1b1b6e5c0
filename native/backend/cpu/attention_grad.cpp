// Backward of attention in two passes without atomics: tiles of queries own dq, blocks of keys own dk and dv. Both
// recompute the probabilities from the log-sum-exp, and both walk in a fixed order.
#include <cstring>

#include "backend/cpu/attention_tile.h"
#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {

// Keys [key0, key0 + keys) of a segment.
struct KeyBlock {
  int32_t segment = 0;
  int64_t key0 = 0;
  int64_t keys = 0;
};

struct GradInputs {
  const SegmentTree& tree;
  AttentionShape shape;
  const float *dout, *q, *k, *v, *lse, *delta;
  float *dq, *dk, *dv;
};

class TileBackward {
 public:
  TileBackward(const KernelTable& kernels, const GradInputs& in, TileScratch& scratch)
      : kernels_(kernels), in_(in), s_(scratch), d_(in.shape.head_size) {
    group_ = static_cast<int>(in.shape.query_heads / in.shape.kv_heads);
  }

  void query_pass(const QueryTile& tile, int64_t kv_head) {
    const int rows = load_tile(tile, kv_head);
    for (int r = 0; r < rows; ++r) std::memset(s_.out + r * kHeadStride, 0, d_ * sizeof(float));
    const TilePiece& piece = tile.pieces.front();  // a training tile is one piece of one segment
    std::vector<int32_t> chain = in_.tree.ancestors(piece.segment);
    chain.push_back(piece.segment);
    for (int32_t segment : chain) {
      const int64_t length = in_.tree.segments[segment].length;
      for (int64_t key0 = 0; key0 < length; key0 += kKeyBlock) {
        const KeyBlock block{segment, key0, std::min<int64_t>(kKeyBlock, length - key0)};
        if (!set_visible(piece, block)) break;
        load_keys(block, kv_head);
        probabilities(rows, block);
        small_product(kernels_, rows, d_, block.keys, s_.ds, LeftLayout::kScores, s_.k, d_, s_.out, kHeadStride);
      }
    }
    store_rows(tile, kv_head);
  }

  void key_pass(const KeyBlock& block, int64_t kv_head) {
    load_keys(block, kv_head);
    for (int64_t i = 0; i < block.keys; ++i) {
      std::memset(s_.dk + i * kHeadStride, 0, d_ * sizeof(float));
      std::memset(s_.dv + i * kHeadStride, 0, d_ * sizeof(float));
    }
    std::vector<int32_t> readers = in_.tree.descendants(block.segment);
    readers.insert(readers.begin(), block.segment);
    for (int32_t segment : readers) {
      const Segment& s = in_.tree.segments[segment];
      const bool own = segment == block.segment;
      const int32_t first = own && s.causal ? static_cast<int32_t>(block.key0) : 0;
      for (const QueryTile& tile : cut_tiles(in_.tree, {{segment, first, s.length - first}}, group_)) {
        QueryTile placed = tile;
        placed.pieces.front().row = s.start + placed.pieces.front().first;
        add_tile(placed, block, kv_head);
      }
    }
    store_keys(block, kv_head);
  }

 private:
  int load_tile(const QueryTile& tile, int64_t kv_head) {
    load_rows(tile, in_.q, in_.shape, kv_head, in_.shape.scale, s_.q);
    load_rows(tile, in_.dout, in_.shape, kv_head, 1.0f, s_.dout);
    const TilePiece& piece = tile.pieces.front();
    for (int32_t i = 0; i < piece.count; ++i) {
      const int64_t at = (piece.row + i) * in_.shape.query_heads + kv_head * group_;
      std::memcpy(s_.lse + i * group_, in_.lse + at, group_ * sizeof(float));
      std::memcpy(s_.delta + i * group_, in_.delta + at, group_ * sizeof(float));
    }
    return piece.count * group_;
  }

  // False when no row of the piece sees the block (nor any later one).
  bool set_visible(const TilePiece& piece, const KeyBlock& block) {
    const bool own = piece.segment == block.segment;
    const Segment& segment = in_.tree.segments[piece.segment];
    if (own && segment.causal && block.key0 > piece.first + piece.count - 1) return false;
    for (int32_t i = 0; i < piece.count; ++i) {
      const int sees =
          own ? visible_keys(segment, piece.first + i, block.key0, block.keys) : static_cast<int>(block.keys);
      for (int h = 0; h < group_; ++h) s_.visible[i * group_ + h] = sees;
    }
    return true;
  }

  // kt and vt [D][kKeyBlock], k [kKeyBlock][D].
  void load_keys(const KeyBlock& block, int64_t kv_head) {
    const int64_t start = in_.tree.segments[block.segment].start + block.key0;
    for (int64_t i = 0; i < block.keys; ++i) {
      const int64_t at = ((start + i) * in_.shape.kv_heads + kv_head) * d_;
      std::memcpy(s_.k + i * d_, in_.k + at, d_ * sizeof(float));
      for (int64_t j = 0; j < d_; ++j) {
        s_.kt[j * kKeyBlock + i] = in_.k[at + j];
        s_.vt[j * kKeyBlock + i] = in_.v[at + j];
      }
    }
  }

  void probabilities(int rows, const KeyBlock& block) {
    AttentionGradBlock b{};
    b.rows = rows;
    b.keys = static_cast<int>(block.keys);
    b.visible = s_.visible;
    b.head_size = d_;
    b.q = s_.q;
    b.dout = s_.dout;
    b.kt = s_.kt;
    b.vt = s_.vt;
    b.lse = s_.lse;
    b.delta = s_.delta;
    b.p = s_.scores;
    b.ds = s_.ds;
    kernels_.attention_grad_block(b);
  }

  void add_tile(const QueryTile& tile, const KeyBlock& block, int64_t kv_head) {
    const int rows = load_tile(tile, kv_head);
    if (!set_visible(tile.pieces.front(), block)) return;
    probabilities(rows, block);
    const int keys = static_cast<int>(block.keys);
    small_product(kernels_, keys, d_, rows, s_.scores, LeftLayout::kScoresT, s_.dout, kHeadStride, s_.dv, kHeadStride);
    small_product(kernels_, keys, d_, rows, s_.ds, LeftLayout::kScoresT, s_.q, kHeadStride, s_.dk, kHeadStride);
  }

  void store_rows(const QueryTile& tile, int64_t kv_head) {
    const TilePiece& piece = tile.pieces.front();
    for (int32_t i = 0; i < piece.count; ++i) {
      for (int h = 0; h < group_; ++h) {
        float* to = in_.dq + ((piece.row + i) * in_.shape.query_heads + kv_head * group_ + h) * d_;
        const float* from = s_.out + (i * group_ + h) * kHeadStride;
        for (int64_t j = 0; j < d_; ++j) to[j] = from[j] * in_.shape.scale;
      }
    }
  }

  // q was scaled when it was loaded, so dk needs no factor.
  void store_keys(const KeyBlock& block, int64_t kv_head) {
    const int64_t start = in_.tree.segments[block.segment].start + block.key0;
    for (int64_t i = 0; i < block.keys; ++i) {
      const int64_t at = ((start + i) * in_.shape.kv_heads + kv_head) * d_;
      std::memcpy(in_.dk + at, s_.dk + i * kHeadStride, d_ * sizeof(float));
      std::memcpy(in_.dv + at, s_.dv + i * kHeadStride, d_ * sizeof(float));
    }
  }

  const KernelTable& kernels_;
  const GradInputs& in_;
  TileScratch& s_;
  int64_t d_;
  int group_;
};

// One tile per piece: backward tiles do not join segments.
std::vector<QueryTile> segment_tiles(const SegmentTree& tree, int64_t group) {
  std::vector<QueryTile> all;
  for (size_t i = 0; i < tree.segments.size(); ++i) {
    const Segment& s = tree.segments[i];
    for (QueryTile& tile : cut_tiles(tree, {{static_cast<int32_t>(i), 0, s.length}}, group)) {
      tile.pieces.front().row += s.start;
      all.push_back(std::move(tile));
    }
  }
  return all;
}

std::vector<KeyBlock> key_blocks(const SegmentTree& tree) {
  std::vector<KeyBlock> blocks;
  for (size_t i = 0; i < tree.segments.size(); ++i) {
    const int64_t length = tree.segments[i].length;
    for (int64_t key0 = 0; key0 < length; key0 += kKeyBlock)
      blocks.push_back({static_cast<int32_t>(i), key0, std::min<int64_t>(kKeyBlock, length - key0)});
  }
  return blocks;
}

}  // namespace

void CpuBackend::attention_grad(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& out, const Tensor& lse, const SegmentTree& tree,
                                const AttentionShape& shape, Tensor& dq, Tensor& dk, Tensor& dv) {
  const int64_t rows = q.shape().rows() * shape.query_heads;
  const int64_t d = shape.head_size;
  const MemoryScope scope(MemoryKind::kWorkspace);
  Tensor delta = empty({rows}, DType::kF32);
  const float* po = out.data<float>();
  const float* pd = dout.data<float>();
  float* sums = delta.data<float>();
  ranges(rows, 256, [&](int64_t b, int64_t e) {
    for (int64_t r = b; r < e; ++r) {
      float dot = 0.0f;
      for (int64_t j = 0; j < d; ++j) dot += po[r * d + j] * pd[r * d + j];
      sums[r] = dot;
    }
  });
  const GradInputs in{tree,
                      shape,
                      dout.data<float>(),
                      q.data<float>(),
                      k.data<float>(),
                      v.data<float>(),
                      lse.data<float>(),
                      delta.data<float>(),
                      dq.data<float>(),
                      dk.data<float>(),
                      dv.data<float>()};
  const auto scratch = memory_->allocate(pool_.threads() * sizeof(TileScratch));
  TileScratch* scratches = static_cast<TileScratch*>(scratch->data);
  const auto tiles = segment_tiles(tree, shape.query_heads / shape.kv_heads);
  const int64_t tile_count = static_cast<int64_t>(tiles.size());
  pool_.run(tile_count * shape.kv_heads, [&](int64_t task, int thread) {
    TileBackward(kernels_, in, scratches[thread]).query_pass(tiles[task % tile_count], task / tile_count);
  });
  const auto blocks = key_blocks(tree);
  const int64_t block_count = static_cast<int64_t>(blocks.size());
  pool_.run(block_count * shape.kv_heads, [&](int64_t task, int thread) {
    TileBackward(kernels_, in, scratches[thread]).key_pass(blocks[task % block_count], task / block_count);
  });
}

}  // namespace vlmr1::cpu
