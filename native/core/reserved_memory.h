// Address space that costs nothing until it is touched: pages come when something is written to them. What a dry run
// has in place of memory.
#pragma once

#include <cstddef>
#include <memory>

namespace vlmr1 {

// Aligned to a page, zero. Null where the system gives no more.
void* reserve_pages(size_t bytes);
void release_pages(void* pages, size_t bytes);

// The same, released with its last owner. Throws ERR_OUT_OF_MEMORY.
std::shared_ptr<void> reserve_shared(size_t bytes);

}  // namespace vlmr1
