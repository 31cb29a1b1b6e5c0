// What memory is for, so that a peak can be explained and not only stated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace vlmr1 {

enum class MemoryKind : uint8_t { kWeights, kGradients, kOptimizer, kActivations, kKvCache, kWorkspace };
inline constexpr size_t kMemoryKinds = 6;

struct MemoryUse {
  std::array<size_t, kMemoryKinds> by_kind{};  // bytes that were asked for
  size_t& of(MemoryKind kind) { return by_kind[static_cast<size_t>(kind)]; }
  size_t of(MemoryKind kind) const { return by_kind[static_cast<size_t>(kind)]; }
  size_t total() const {
    size_t sum = 0;
    for (const size_t bytes : by_kind) sum += bytes;
    return sum;
  }
};

// While it lives, what this thread allocates is of this kind; without one it is activations. The innermost counts.
class MemoryScope {
 public:
  explicit MemoryScope(MemoryKind kind) : before_(current_) { current_ = kind; }
  ~MemoryScope() { current_ = before_; }
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;
  static MemoryKind current() { return current_; }

 private:
  MemoryKind before_;
  constinit static thread_local MemoryKind current_;
};

}  // namespace vlmr1
