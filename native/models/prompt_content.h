// Prompts by what they hold: equal ones need one encoding.
#pragma once

#include <cstdint>

#include "models/inputs.h"

namespace vlmr1 {

// Of tokens, grids and the bits of pixel values.
uint64_t content_hash(const Prompt& prompt);
bool same_content(const Prompt& a, const Prompt& b);

}  // namespace vlmr1
