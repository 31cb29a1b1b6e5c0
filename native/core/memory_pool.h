// Host memory that is kept for reuse: nothing goes back to the operating system within a step, where faulting pages in
// again would cost more than the kernels between the matrix products.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/memory_use.h"
#include "core/tensor.h"

namespace vlmr1 {

class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
 public:
  // kReserved: blocks are address space only. Everything is counted as it would be, and no memory is used as long as
  // nobody writes to them.
  enum class Source { kSystem, kReserved };

  explicit MemoryPool(Source source = Source::kSystem) : source_(source) {}
  ~MemoryPool();
  // 64-byte aligned, uninitialised. Throws ERR_OUT_OF_MEMORY. Storage gives its block back to the pool.
  std::shared_ptr<Storage> allocate(size_t bytes);
  // Returns unused blocks to the operating system.
  void trim();

  // Bytes that were asked for and not given back, now and at most.
  size_t used() const { return used_; }
  size_t peak() const { return peak_; }
  // Bytes of the system's memory that blocks take, those that are kept for reuse too: each as far as it was ever asked
  // for, because what lies behind that is never touched.
  size_t held() const { return held_; }
  // By kind, at the moment of the peak.
  MemoryUse peak_use() const;
  // From here on the peak is counted anew.
  void reset_peak();

 private:
  struct Block {
    void* data = nullptr;
    size_t size = 0;
    size_t touched = 0;  // the largest request that it ever served
  };

  struct PooledStorage;

  bool take_kept(size_t size, size_t largest, Block* block);
  Block take_new(size_t size);
  void count(Block& block, size_t bytes, MemoryKind kind);
  void give_back(const Block& block, size_t bytes, MemoryKind kind);
  void free_block(const Block& block);

  const Source source_;
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<Block>> free_;  // by block size
  MemoryUse use_;
  MemoryUse peak_use_;
  // Written under the lock, read from any thread.
  std::atomic<size_t> used_{0};
  std::atomic<size_t> peak_{0};
  std::atomic<size_t> held_{0};
};

}  // namespace vlmr1
