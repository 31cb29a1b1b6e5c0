#include "models/qwen2_5_vl/architecture.h"

#include "models/qwen2_5_vl/vision.h"

namespace vlmr1::qwen2_5_vl {

qwen_vl::Architecture architecture(const Json& config) {
  return qwen_vl::make_architecture<Tower>(config, parse_vision, add_tower);
}

}  // namespace vlmr1::qwen2_5_vl
