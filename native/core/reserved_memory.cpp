#include "core/reserved_memory.h"

#include <sys/mman.h>

#include "core/error.h"

namespace vlmr1 {

void* reserve_pages(size_t bytes) {
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

void release_pages(void* pages, size_t bytes) { ::munmap(pages, bytes); }

std::shared_ptr<void> reserve_shared(size_t bytes) {
  const size_t size = bytes ? bytes : 1;
  void* pages = reserve_pages(size);
  check(pages != nullptr, ErrorCode::kOutOfMemory, "memory: ", size >> 20, " MiB of address space could not be had");
  return std::shared_ptr<void>(pages, [size](void* data) { release_pages(data, size); });
}

}  // namespace vlmr1
