// Keys and values in blocks of kKeyBlock tokens that never cross a segment's border. Per block and key/value head: the
// keys transposed, [D][kKeyBlock], then the values, [kKeyBlock][D].
#pragma once

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"

namespace vlmr1::cpu {

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
  int64_t head_floats() const { return 2 * shape_.head_size * kKeyBlock; }
  int64_t block_floats() const { return shape_.kv_heads * head_floats(); }
  std::vector<Segment>& segments() { return segments_; }
  const Segment& segment(int32_t index) const { return segments_[index]; }
  const float* keys(int32_t segment, int64_t block, int64_t head) const {
    return segments_[segment].blocks[block] + head * head_floats();
  }
  const float* values(int32_t segment, int64_t block, int64_t head) const {
    return keys(segment, block, head) + shape_.head_size * kKeyBlock;
  }

 private:
  AttentionShape shape_;
  MemoryKind kind_;
  std::vector<Segment> segments_;
};

}  // namespace vlmr1::cpu
