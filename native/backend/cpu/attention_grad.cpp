// Backward of attention: one pass over tiles of queries, which recomputes the probabilities from the log-sum-exp.
// A tile owns its dq; it adds to dk and dv, which the tiles of one task do in their order. Where there are few
// key/value heads, a tree's tiles are cut into several tasks with a dk and dv each, which are added up in their order.
#include "backend/cpu/attention_grad.h"

#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/kv_store.h"

namespace vlmr1::cpu {

namespace {

struct alignas(64) GradScratch {
  float q[kGradRows * kHeadStride];
  float dout[kGradRows * kHeadStride];
  uint32_t q_rows[kGradRows / 2 * kHeadStride];
  uint32_t dout_rows[kGradRows / 2 * kHeadStride];
  float dq[kGradRows * kHeadStride];
  float p[kGradRows * kHeadStride];
  float ds[kGradRows * kHeadStride];
  float lse[kGradRows], delta[kGradRows];
  int visible[kGradRows];
  const float* rows[kGradRows];
  float keys[3 * kMaxHeadSize * kKeyBlock + kHeadStride];
};

struct GradInputs {
  const float *dout, *q, *k, *v, *lse, *delta;
};
struct GradOutputs {
  float *dq, *dk, *dv;
};

// What all tasks of one call read and write.
struct GradCall : GradInputs, GradOutputs {
  const KernelTable& kernels;
  const SegmentTree& tree;
  AttentionShape shape;
  float *dk_sums, *dv_sums;                 // [orders][K][T][D]
  float* packed;                            // [K] blocks of kᵀ, vᵀ and k
  const std::vector<bool>& once;            // see read_once
  const std::vector<int64_t>& first_block;  // of a segment; of those that are read once there is none

  bool pairs() const { return shape.products == DType::kBF16; }
  int32_t group() const { return static_cast<int32_t>(shape.query_heads / shape.kv_heads); }
  int64_t block_words() const { return 2 * transposed_words(shape) + row_words(shape); }
  float* block(int32_t segment, int64_t key0, int64_t kv_head) const {
    return packed + (kv_head * first_block.back() + first_block[segment] + key0 / kKeyBlock) * block_words();
  }
  // Where the sums of dk and dv of a task begin.
  int64_t sums(int32_t order, int64_t kv_head) const {
    return (order * shape.kv_heads + kv_head) * tree.tokens * shape.head_size;
  }
};

void pack_block(const GradCall& c, int32_t segment, int64_t key0, int64_t kv_head, float* block) {
  const Segment& s = c.tree.segments[segment];
  AttentionKeys t{};
  t.stride = c.shape.kv_heads * c.shape.head_size;
  t.count = static_cast<int>(std::min<int64_t>(kKeyBlock, s.length - key0));
  t.head_size = c.shape.head_size;
  t.pairs = c.pairs();
  const int64_t at = (s.start + key0) * t.stride + kv_head * t.head_size;
  t.x = c.v + at;
  t.transposed = block + transposed_words(c.shape);
  c.kernels.attention_pack_keys(t);
  t.x = c.k + at;
  t.transposed = block;
  t.rows = block + 2 * transposed_words(c.shape);
  c.kernels.attention_pack_keys(t);
}

class TileBackward {
 public:
  TileBackward(const GradCall& call, int64_t kv_head, float* dk, float* dv, GradScratch& scratch)
      : c_(call), kv_head_(kv_head), dk_(dk), dv_(dv), s_(scratch), group_(call.group()) {}

  void run(const QueryTile& tile) {
    load(tile);
    if (tile.parent >= 0) {
      for (int32_t above : c_.tree.ancestors(tile.parent)) whole(tile, above);
      whole(tile, tile.parent);
    }
    for (const TilePiece& piece : tile.pieces) own(piece);
    store(tile);
  }

 private:
  void load(const QueryTile& tile) {
    const int64_t d = c_.shape.head_size;
    uint32_t* q_rows = c_.pairs() ? s_.q_rows : nullptr;
    uint32_t* dout_rows = c_.pairs() ? s_.dout_rows : nullptr;
    row_pointers(tile, c_.shape, kv_head_, c_.q, s_.rows);
    c_.kernels.attention_pack_queries({tile.rows, s_.rows, d, c_.shape.scale, c_.pairs(), s_.q, q_rows});
    row_pointers(tile, c_.shape, kv_head_, c_.dout, s_.rows);
    c_.kernels.attention_pack_queries({tile.rows, s_.rows, d, 1.0f, c_.pairs(), s_.dout, dout_rows});
    for (const TilePiece& piece : tile.pieces) {
      std::fill_n(s_.lse + piece.at, piece.rows, 0.0f);
      std::fill_n(s_.delta + piece.at, piece.rows, 0.0f);
      for (int32_t i = 0; i < piece.count; ++i) {
        const int64_t at = (piece.row + i) * c_.shape.query_heads + kv_head_ * group_;
        std::copy_n(c_.lse + at, group_, s_.lse + piece.at + i * group_);
        std::copy_n(c_.delta + at, group_, s_.delta + piece.at + i * group_);
      }
    }
    for (int32_t r = 0; r < tile.rows; ++r) std::memset(s_.dq + r * kHeadStride, 0, d * sizeof(float));
  }

  void whole(const QueryTile& tile, int32_t segment) {
    const int64_t length = c_.tree.segments[segment].length;
    for (int64_t key0 = 0; key0 < length; key0 += kKeyBlock) {
      const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, length - key0));
      all_visible(tile, group_, keys, s_.visible);
      block(segment, key0, 0, tile.rows, keys);
    }
  }

  void own(const TilePiece& piece) {
    const Segment& segment = c_.tree.segments[piece.segment];
    for (int64_t key0 = 0; key0 < segment.length; key0 += kKeyBlock) {
      const int keys = static_cast<int>(std::min<int64_t>(kKeyBlock, segment.length - key0));
      if (segment.causal && key0 > piece.first + piece.count - 1) break;
      own_visible(segment, piece, group_, key0, keys, s_.visible);
      block(piece.segment, key0, piece.at, piece.rows, keys);
    }
  }

  void block(int32_t segment, int64_t key0, int row, int rows, int keys) {
    float* packed = c_.once[segment] ? s_.keys : c_.block(segment, key0, kv_head_);
    if (c_.once[segment]) pack_block(c_, segment, key0, kv_head_, packed);
    const int64_t at = (c_.tree.segments[segment].start + key0) * c_.shape.head_size;
    AttentionGradBlock b{};
    b.pairs = c_.pairs();
    b.rows = rows;
    b.keys = keys;
    b.visible = s_.visible + row;
    b.head_size = c_.shape.head_size;
    b.q = s_.q + row * kHeadStride;
    b.dout = s_.dout + row * kHeadStride;
    b.q_rows = b.pairs ? s_.q_rows + row / 2 * kHeadStride : b.q;
    b.dout_rows = b.pairs ? s_.dout_rows + row / 2 * kHeadStride : b.dout;
    b.kt = packed;
    b.vt = packed + transposed_words(c_.shape);
    b.k = packed + 2 * transposed_words(c_.shape);
    b.lse = s_.lse + row;
    b.delta = s_.delta + row;
    b.p = s_.p;
    b.ds = s_.ds;
    b.dq = s_.dq + row * kHeadStride;
    b.dk = dk_ + at;
    b.dv = dv_ + at;
    c_.kernels.attention_grad_block(b);
  }

  // q was scaled when it was loaded, so that dk needs no factor.
  void store(const QueryTile& tile) {
    const int64_t d = c_.shape.head_size;
    for (const TilePiece& piece : tile.pieces) {
      for (int32_t i = 0; i < piece.count * group_; ++i) {
        const int64_t at = (piece.row + i / group_) * c_.shape.query_heads + kv_head_ * group_ + i % group_;
        c_.kernels.scale(s_.dq + (piece.at + i) * kHeadStride, c_.shape.scale, c_.dq + at * d, d);
      }
    }
  }

  const GradCall& c_;
  const int64_t kv_head_;
  float *dk_, *dv_;
  GradScratch& s_;
  const int32_t group_;
};

// dk (=, +=) its sums of a chunk, and dv, for one head of a token.
void add_up(const GradCall& c, int32_t order, int64_t token, int64_t kv_head) {
  const int64_t d = c.shape.head_size;
  const int64_t to = (token * c.shape.kv_heads + kv_head) * d;
  const int64_t from = c.sums(order, kv_head) + token * d;
  if (order == 0) {
    std::memcpy(c.dk + to, c.dk_sums + from, d * sizeof(float));
    std::memcpy(c.dv + to, c.dv_sums + from, d * sizeof(float));
  } else {
    c.kernels.add(c.dk + to, c.dk_sums + from, c.dk + to, d);
    c.kernels.add(c.dv + to, c.dv_sums + from, c.dv + to, d);
  }
}

void run_slice(const GradCall& c, const GradChunk& chunk, size_t slice, int64_t kv_head, GradScratch& scratch) {
  if (slice >= chunk.slices.size()) return;
  const int64_t d = c.shape.head_size;
  float* dk = c.dk_sums + c.sums(chunk.order, kv_head);
  float* dv = c.dv_sums + c.sums(chunk.order, kv_head);
  for (const KeyRange& range : chunk.keys) {
    if (slice > 0) break;
    std::memset(dk + range.begin * d, 0, (range.end - range.begin) * d * sizeof(float));
    std::memset(dv + range.begin * d, 0, (range.end - range.begin) * d * sizeof(float));
  }
  TileBackward backward(c, kv_head, dk, dv, scratch);
  const size_t begin = slice == 0 ? 0 : chunk.slices[slice - 1];
  for (size_t i = begin; i < chunk.slices[slice]; ++i) backward.run(chunk.tiles[i]);
  if (!chunk.only || slice + 1 < chunk.slices.size()) return;
  for (const KeyRange& range : chunk.keys)
    for (int64_t t = range.begin; t < range.end; ++t) add_up(c, chunk.order, t, kv_head);
}

// How many chunks a tree has at most, and how many slices a chunk.
std::pair<int32_t, size_t> extent(const std::vector<GradChunk>& chunks) {
  int32_t orders = 0;
  size_t slices = 0;
  for (const GradChunk& chunk : chunks) {
    orders = std::max(orders, chunk.order + 1);
    slices = std::max(slices, chunk.slices.size());
  }
  return {orders, slices};
}

// Blocks of keys that several tiles read.
struct SharedBlock {
  int32_t segment;
  int64_t key0;
};

std::vector<SharedBlock> shared_blocks(const SegmentTree& tree, const std::vector<bool>& once,
                                       std::vector<int64_t>& first) {
  std::vector<SharedBlock> blocks;
  for (size_t s = 0; s < tree.segments.size(); ++s) {
    first.push_back(static_cast<int64_t>(blocks.size()));
    for (int64_t key0 = 0; key0 < tree.segments[s].length && !once[s]; key0 += kKeyBlock)
      blocks.push_back({static_cast<int32_t>(s), key0});
  }
  first.push_back(static_cast<int64_t>(blocks.size()));
  return blocks;
}

}  // namespace

void CpuBackend::attention_grad(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& out, const Tensor& lse, const SegmentTree& tree,
                                const AttentionShape& shape, Tensor& dq, Tensor& dk, Tensor& dv) {
  const MemoryScope scope(MemoryKind::kWorkspace);
  const int64_t rows = q.shape().rows() * shape.query_heads;
  const int64_t d = shape.head_size;
  Tensor delta = empty({rows}, DType::kF32);
  ranges(rows, 256, [&](int64_t b, int64_t e) {
    kernels_.row_dots(out.data<float>() + b * d, dout.data<float>() + b * d, delta.data<float>() + b, e - b, d);
  });
  const auto once = read_once(tree, shape.query_heads / shape.kv_heads, kGradRows);
  std::vector<int64_t> first_block;
  const auto blocks = shared_blocks(tree, once, first_block);
  const auto chunks = cut_chunks(tree, shape);
  const auto [orders, slices] = extent(chunks);
  const int64_t sums = orders * k.numel();
  const auto sum_memory = memory_->allocate(2 * sums * sizeof(float));
  float* dk_sums = static_cast<float*>(sum_memory->data);
  GradCall call{
      {dout.data<float>(), q.data<float>(), k.data<float>(), v.data<float>(), lse.data<float>(), delta.data<float>()},
      {dq.data<float>(), dk.data<float>(), dv.data<float>()},
      kernels_,
      tree,
      shape,
      dk_sums,
      dk_sums + sums,
      nullptr,
      once,
      first_block};
  // A vector past the end, where kernels read whole vectors.
  const int64_t block_count = static_cast<int64_t>(blocks.size());
  const auto packed =
      memory_->allocate((shape.kv_heads * block_count * call.block_words() + kHeadStride) * sizeof(float));
  call.packed = static_cast<float*>(packed->data);
  ranges(block_count * shape.kv_heads, 4, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      const SharedBlock& block = blocks[i / shape.kv_heads];
      const int64_t head = i % shape.kv_heads;
      pack_block(call, block.segment, block.key0, head, call.block(block.segment, block.key0, head));
    }
  });
  const auto scratch = memory_->allocate(pool_.threads() * sizeof(GradScratch));
  const int64_t tasks = static_cast<int64_t>(chunks.size()) * shape.kv_heads;
  for (size_t slice = 0; slice < slices; ++slice) {
    pool_.run(tasks, [&](int64_t task, int thread) {
      run_slice(call, chunks[task / shape.kv_heads], slice, task % shape.kv_heads,
                static_cast<GradScratch*>(scratch->data)[thread]);
    });
  }
  for (const GradChunk& chunk : chunks) {
    if (chunk.only) continue;
    // In their order: chunks of one tree follow each other.
    for (const KeyRange& range : chunk.keys) {
      ranges((range.end - range.begin) * shape.kv_heads, 256, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; ++i) add_up(call, chunk.order, range.begin + i / shape.kv_heads, i % shape.kv_heads);
      });
    }
  }
}

}  // namespace vlmr1::cpu
