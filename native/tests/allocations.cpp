#include "tests/allocations.h"

#include <cstdlib>
#include <new>

namespace {
constinit thread_local int64_t count = 0;

void* counted(std::size_t bytes) {
  ++count;
  void* memory = std::malloc(bytes > 0 ? bytes : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

int64_t vlmr1::testing::allocations() { return count; }

// Those of arrays and those that do not throw end in these.
void* operator new(std::size_t bytes) { return counted(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
