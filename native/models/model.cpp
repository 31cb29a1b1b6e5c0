#include "models/model.h"

#include "io/checkpoint.h"
#include "io/files.h"
#include "models/qwen2_5_vl/model.h"

namespace vlmr1 {

namespace {

// One line per family.
std::unique_ptr<Model> build(Backend& backend, const Json& config, const LoadOptions& options) {
  const std::string type = config.at("model_type").as_string();
  if (type == "qwen2_5_vl")
    return std::make_unique<qwen2_5_vl::Qwen25VlModel>(backend, qwen2_5_vl::parse_config(config), options);
  fail(ErrorCode::kConfig, "config.json: model_type: expected qwen2_5_vl, got ", type);
}

}  // namespace

std::unique_ptr<Model> Model::load(Backend& backend, const std::string& directory, const LoadOptions& options) {
  const Json config = Json::parse(read_text_file(directory + "/config.json"), directory + "/config.json");
  auto model = build(backend, config, options);
  // A tied head may be stored as well; the embedding is what counts.
  const bool tied = !model->parameters().has("lm_head.weight");
  load_parameters(backend, model->parameters(), directory, [tied](const std::string& name) {
    return (tied && name == "lm_head.weight") || name.find("rotary_emb.inv_freq") != std::string::npos;
  });
  return model;
}

ModelDescription describe_model(const Json& config) {
  const std::string type = config.at("model_type").as_string();
  check(type == "qwen2_5_vl", ErrorCode::kConfig, "config.json: model_type: expected qwen2_5_vl, got ", type);
  const auto parsed = qwen2_5_vl::parse_config(config);
  return {qwen2_5_vl::model_info(parsed), qwen2_5_vl::parameter_specs(parsed)};
}

}  // namespace vlmr1
