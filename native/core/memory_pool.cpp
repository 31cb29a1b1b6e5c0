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

// The smallest kept block from `size` to `largest`, or null.
void* MemoryPool::take_kept(size_t size, size_t largest, size_t* block) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto it = free_.lower_bound(size); it != free_.end() && it->first <= largest; ++it) {
    if (it->second.empty()) continue;
    void* data = it->second.back();
    it->second.pop_back();
    *block = it->first;
    return data;
  }
  return nullptr;
}

void* MemoryPool::take_new(size_t size) {
  void* data = std::aligned_alloc(kAlignment, size);
  if (data == nullptr) {
    trim();
    data = std::aligned_alloc(kAlignment, size);
  }
  check(data != nullptr, ErrorCode::kOutOfMemory, "memory: ", size >> 20, " MiB more than the ", used_ >> 20,
        " MiB in use could not be had; smaller are num_generations, max_completion_length, max_tokens_per_microbatch "
        "and pictures, and gradient_checkpointing keeps less");
  held_ += size;
  return data;
}

std::shared_ptr<Storage> MemoryPool::allocate(size_t bytes) {
  const size_t size = round_up(bytes ? bytes : 1);
  return hand_out(size, 2 * size);
}

std::shared_ptr<Storage> MemoryPool::allocate_lasting(size_t bytes) {
  const size_t size = round_up(bytes ? bytes : 1);
  return hand_out(size, size);
}

std::shared_ptr<Storage> MemoryPool::hand_out(size_t size, size_t largest) {
  void* data = take_kept(size, largest, &size);
  if (data == nullptr) data = take_new(size);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    used_ += size;
    if (used_ > peak_) peak_ = used_.load();
  }
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
