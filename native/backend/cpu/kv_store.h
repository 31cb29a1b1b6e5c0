// Keys and values in blocks of kKeyBlock tokens that never cross a segment's border. Per block and key/value head: the
// keys transposed, [D, kKeyBlock], then the values, [kKeyBlock, D], in panels of f32 or of pairs of bf16 (see
// kernels.h).
#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"

namespace vlmr1::cpu {

// Words of 4 bytes that a block of one head takes, transposed and in rows.
inline int64_t transposed_words(const AttentionShape& shape) {
  return (shape.products == DType::kBF16 ? (shape.head_size + 1) / 2 : shape.head_size) * kKeyBlock;
}
inline int64_t row_words(const AttentionShape& shape) {
  return (shape.products == DType::kBF16 ? kKeyBlock / 2 : kKeyBlock) * shape.head_size;
}

// Throws what the kernels could not do.
void check_attention_shape(const AttentionShape& shape);

// Tokens [first, first + count) of a block of one head, from rows of k and v on.
void pack_keys_values(const KernelTable& kernels, const AttentionShape& shape, const float* k, const float* v,
                      int first, int count, float* block);

class CpuKvStore final : public KvStore {
 public:
  // `kind`: a cache that is kept, or the workspace of one call.
  CpuKvStore(const AttentionShape& shape, MemoryKind kind) : shape_(shape), kind_(kind) {}

  struct Segment {
    int64_t length = 0;
    std::vector<float*> blocks;
    std::vector<std::shared_ptr<Storage>> slabs;
  };

  const AttentionShape& shape() const { return shape_; }
  MemoryKind kind() const { return kind_; }
  int64_t head_words() const { return transposed_words(shape_) + row_words(shape_); }
  int64_t block_words() const { return shape_.kv_heads * head_words(); }
  std::vector<Segment>& segments() { return segments_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const Segment& segment(int32_t index) const { return segments_[index]; }
  const float* keys(int32_t segment, int64_t block, int64_t head) const {
    return segments_[segment].blocks[block] + head * head_words();
  }
  const float* values(int32_t segment, int64_t block, int64_t head) const {
    return keys(segment, block, head) + transposed_words(shape_);
  }

 private:
  AttentionShape shape_;
  MemoryKind kind_;
  std::vector<Segment> segments_;
};

}  // namespace vlmr1::cpu
