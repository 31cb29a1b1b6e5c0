// Counts what is asked of the heap, so that tests can say what a loop does not ask for.
#pragma once

#include <cstdint>

namespace vlmr1::testing {

// Calls of operator new on this thread so far.
int64_t allocations();

}  // namespace vlmr1::testing
