#include "models/qwen2_5_vl/architecture.h"

#include "models/qwen2_5_vl/vision.h"

namespace vlmr1::qwen2_5_vl {

qwen_vl::Architecture architecture(const Json& json) {
  const qwen_vl::Config config = qwen_vl::parse_config(json);
  const VisionConfig vision = parse_vision(json.at("vision_config"), config);
  qwen_vl::SpecList list;
  add_tower(list, vision);
  qwen_vl::add_decoder(list, config.text);
  return {config, list.all(), [vision](ParameterStore& parameters, bool checkpointing) {
            return std::make_unique<Tower>(vision, parameters, checkpointing);
          }};
}

}  // namespace vlmr1::qwen2_5_vl
