#pragma once

#include <memory>

#include "backend/backend.h"

namespace vlmr1 {

// The same back end, with a span (core/trace.h) around each kernel on threads that record: its name, its sizes, its
// floating-point operations where it multiplies matrices, and the bytes of its tensors. A kernel is taken to have ended
// when its call returns.
std::unique_ptr<Backend> make_profiled_backend(std::unique_ptr<Backend> inner);

}  // namespace vlmr1
