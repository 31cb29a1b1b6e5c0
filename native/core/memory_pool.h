// Host memory that is kept for reuse: nothing goes back to the operating system within a step, where faulting pages in
// again would cost more than the kernels between the matrix products.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/tensor.h"

namespace vlmr1 {

class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
 public:
  ~MemoryPool();
  // 64-byte aligned, uninitialised. Throws ERR_OUT_OF_MEMORY. Storage gives its block back to the pool.
  std::shared_ptr<Storage> allocate(size_t bytes);
  // The same for what stays: a larger block of an earlier use would never be whole again.
  std::shared_ptr<Storage> allocate_lasting(size_t bytes);
  // Returns unused blocks to the operating system.
  void trim();
  size_t used() const { return used_; }
  size_t peak() const { return peak_; }
  size_t held() const { return held_; }

 private:
  std::shared_ptr<Storage> hand_out(size_t size, size_t largest);
  void* take_kept(size_t size, size_t largest, size_t* block);
  void* take_new(size_t size);
  void give_back(void* data, size_t bytes);

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;  // by block size
  // Written under the lock, read from any thread.
  std::atomic<size_t> used_{0};
  std::atomic<size_t> peak_{0};
  std::atomic<size_t> held_{0};
};

}  // namespace vlmr1
