// Qwen2.5-VL: RMS norms and SwiGLU in the vision tower, attention within windows but for some blocks.
#pragma once

#include "io/json.h"
#include "models/qwen_vl/model.h"

namespace vlmr1::qwen2_5_vl {

// Throws ERR_CONFIG.
qwen_vl::Architecture architecture(const Json& config);

}  // namespace vlmr1::qwen2_5_vl
