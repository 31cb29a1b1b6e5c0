#include "core/memory_pool.h"

#include <cstdlib>

namespace vlmr1 {

namespace {
constexpr size_t kAlignment = 64;
// Blocks this large are mapped and faulted in by the kernel: their sizes get coarser classes, so that the slightly
// different batches of a run reuse them.
size_t round_up(size_t bytes) {
  size_t step = kAlignment;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}
}  // namespace

MemoryPool::~MemoryPool() { trim(); }

std::shared_ptr<Storage> MemoryPool::allocate(size_t bytes) {
  const size_t size = round_up(bytes ? bytes : 1);
  void* data = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // The smallest kept block that is at most twice too large.
    auto it = free_.lower_bound(size);
    while (it != free_.end() && it->first <= 2 * size && it->second.empty()) ++it;
    if (it != free_.end() && it->first <= 2 * size) {
      data = it->second.back();
      it->second.pop_back();
      const size_t block = it->first;
      used_ += block;
      if (used_ > peak_) peak_ = used_.load();
      auto storage = std::make_shared<Storage>();
      storage->data = data;
      storage->bytes = block;
      storage->release = [pool = shared_from_this(), block](Storage& s) { pool->give_back(s.data, block); };
      return storage;
    }
  }
  data = std::aligned_alloc(kAlignment, size);
  if (data == nullptr) {
    trim();
    data = std::aligned_alloc(kAlignment, size);
  }
  check(data != nullptr, ErrorCode::kOutOfMemory, "memory: ", size >> 20, " MiB more than the ", used_ >> 20,
        " MiB in use could not be had; smaller are num_generations, max_completion_length, max_tokens_per_microbatch "
        "and pictures, and gradient_checkpointing keeps less");
  std::lock_guard<std::mutex> lock(mutex_);
  held_ += size;
  used_ += size;
  if (used_ > peak_) peak_ = used_.load();
  auto storage = std::make_shared<Storage>();
  storage->data = data;
  storage->bytes = size;
  storage->release = [pool = shared_from_this(), size](Storage& s) { pool->give_back(s.data, size); };
  return storage;
}

void MemoryPool::give_back(void* data, size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  used_ -= bytes;
  free_[bytes].push_back(data);
}

void MemoryPool::trim() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) {
      std::free(block);
      held_ -= size;
    }
  }
  free_.clear();
}

}  // namespace vlmr1
