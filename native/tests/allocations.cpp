#include "tests/allocations.h"

#include <cstdlib>
#include <new>

namespace {
constinit thread_local int64_t count = 0;

void* counted(std::size_t bytes) {
  ++count;
  return std::malloc(bytes > 0 ? bytes : 1);
}
}  // namespace

int64_t vlmr1::testing::allocations() { return count; }

// Those of arrays end in these. One that does not throw would too, but for a sanitizer, which has its own and then
// finds its memory in `free`.
void* operator new(std::size_t bytes) {
  void* memory = counted(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return counted(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
