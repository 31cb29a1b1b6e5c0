// Qwen2-VL: layer norms and a GELU in the vision tower, attention over whole frames.
#pragma once

#include "io/json.h"
#include "models/qwen_vl/model.h"

namespace vlmr1::qwen2_vl {

// Throws ERR_CONFIG.
qwen_vl::Architecture architecture(const Json& config);

}  // namespace vlmr1::qwen2_vl
