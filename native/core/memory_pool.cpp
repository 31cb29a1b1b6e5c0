#include "core/memory_pool.h"

#include <cstdlib>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "core/reserved_memory.h"

namespace vlmr1 {

constinit thread_local MemoryKind MemoryScope::current_ = MemoryKind::kActivations;

namespace {
constexpr size_t kAlignment = 64;
// Blocks this large are mapped and faulted in by the kernel: their sizes get coarser classes, so that the slightly
// different batches of a run reuse them.
size_t round_up(size_t bytes) {
  size_t step = kAlignment;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

// Huge pages, where the system gives them to who asks: fewer misses of the address cache, and data that is fetched
// ahead across the borders of small pages.
constexpr size_t kHugePage = size_t{2} << 20;

size_t alignment([[maybe_unused]] size_t size) {
#if defined(MADV_HUGEPAGE)
  if (size >= 2 * kHugePage) return kHugePage;
#endif
  return kAlignment;
}

// Of the first `bytes` only those that fill whole pages: what lies behind them stays untouched and so must take no
// memory. A cache and scratch are filled bit by bit, perhaps never to their end.
void ask_for_huge_pages([[maybe_unused]] void* data, size_t bytes, MemoryKind kind) {
  if (bytes < 2 * kHugePage || kind == MemoryKind::kKvCache || kind == MemoryKind::kWorkspace) return;
#if defined(MADV_HUGEPAGE)
  ::madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // no harm where it fails
#endif
}

// What stays for the whole run takes no block that is too large for it: the rest would never be of use again.
bool lasts(MemoryKind kind) {
  return kind == MemoryKind::kWeights || kind == MemoryKind::kGradients || kind == MemoryKind::kOptimizer;
}
}  // namespace

// One object for storage and what the pool has to know of it: kernels ask for thousands of them in a second.
struct MemoryPool::PooledStorage final : Storage {
  PooledStorage(std::shared_ptr<MemoryPool> from, const Block& of, size_t asked_for, MemoryKind is_for)
      : pool(std::move(from)), block(of), asked(asked_for), kind(is_for) {
    data = block.data;
    bytes = block.size;
  }
  ~PooledStorage() { pool->give_back(block, asked, kind); }
  PooledStorage(const PooledStorage&) = delete;
  PooledStorage& operator=(const PooledStorage&) = delete;

  std::shared_ptr<MemoryPool> pool;
  Block block;
  size_t asked;
  MemoryKind kind;
};

MemoryPool::~MemoryPool() { trim(); }

// The smallest kept block of at most `largest`.
bool MemoryPool::take_kept(size_t size, size_t largest, Block* block) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto it = free_.lower_bound(size); it != free_.end() && it->first <= largest; ++it) {
    if (it->second.empty()) continue;
    *block = it->second.back();
    it->second.pop_back();
    return true;
  }
  return false;
}

MemoryPool::Block MemoryPool::take_new(size_t size) {
  const auto take = [&]() -> void* {
    if (source_ == Source::kReserved) return reserve_pages(size);
    void* data = nullptr;
    return posix_memalign(&data, alignment(size), size) == 0 ? data : nullptr;
  };
  void* data = take();
  if (data == nullptr) {
    trim();
    data = take();
  }
  check(data != nullptr, ErrorCode::kOutOfMemory, "memory: ", size >> 20, " MiB more than the ", used_ >> 20,
        " MiB in use could not be had; smaller are num_generations, max_num_seqs, max_completion_length, "
        "max_tokens_per_microbatch and pictures, and gradient_checkpointing keeps less; `vlmr1-native estimate` says "
        "what a run needs");
  return {data, size, 0};
}

std::shared_ptr<Storage> MemoryPool::allocate(size_t bytes) {
  const size_t wanted = bytes ? bytes : 1;
  const MemoryKind kind = MemoryScope::current();
  const size_t size = round_up(wanted);
  Block block;
  if (!take_kept(size, lasts(kind) ? size : 2 * size, &block)) block = take_new(size);
  count(block, wanted, kind);
  return std::make_shared<PooledStorage>(shared_from_this(), block, wanted, kind);
}

void MemoryPool::count(Block& block, size_t bytes, MemoryKind kind) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes > block.touched) {
    if (source_ == Source::kSystem) ask_for_huge_pages(block.data, bytes, kind);
    held_ += bytes - block.touched;
    block.touched = bytes;
  }
  use_.of(kind) += bytes;
  used_ += bytes;
  if (used_ <= peak_) return;
  peak_ = used_.load();
  peak_use_ = use_;
}

void MemoryPool::give_back(const Block& block, size_t bytes, MemoryKind kind) {
  const std::lock_guard<std::mutex> lock(mutex_);
  use_.of(kind) -= bytes;
  used_ -= bytes;
  free_[block.size].push_back(block);
}

void MemoryPool::free_block(const Block& block) {
  if (source_ == Source::kSystem) std::free(block.data);
  else release_pages(block.data, block.size);
}

void MemoryPool::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [size, blocks] : free_) {
    for (const Block& block : blocks) {
      free_block(block);
      held_ -= block.touched;
    }
  }
  free_.clear();
}

MemoryUse MemoryPool::peak_use() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return peak_use_;
}

void MemoryPool::reset_peak() {
  const std::lock_guard<std::mutex> lock(mutex_);
  peak_ = used_.load();
  peak_use_ = use_;
}

}  // namespace vlmr1
