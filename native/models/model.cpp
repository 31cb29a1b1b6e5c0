#include "models/model.h"

#include "io/checkpoint.h"
#include "io/files.h"
#include "models/qwen2_5_vl/architecture.h"
#include "models/qwen2_vl/architecture.h"

namespace vlmr1 {

namespace {

struct Family {
  const char* model_type;
  ModelDescription (*describe)(const Json& config);
  std::unique_ptr<Model> (*build)(Backend& backend, const Json& config, const LoadOptions& options);
};

template <qwen_vl::Architecture (*architecture)(const Json& config)>
constexpr Family qwen_vl_family(const char* model_type) {
  return {model_type, [](const Json& config) { return qwen_vl::describe(architecture(config)); },
          [](Backend& backend, const Json& config, const LoadOptions& options) -> std::unique_ptr<Model> {
            return std::make_unique<qwen_vl::QwenVlModel>(backend, architecture(config), options);
          }};
}

// One line per family.
constexpr Family kFamilies[] = {
    qwen_vl_family<qwen2_vl::architecture>("qwen2_vl"),
    qwen_vl_family<qwen2_5_vl::architecture>("qwen2_5_vl"),
};

const Family& family_of(const Json& config) {
  const std::string& type = config.at("model_type").as_string();
  std::string known;
  for (const Family& family : kFamilies) {
    if (type == family.model_type) return family;
    known += std::string(known.empty() ? "" : " or ") + family.model_type;
  }
  fail(ErrorCode::kConfig, "config.json: model_type: expected ", known, ", got ", type);
}

}  // namespace

std::unique_ptr<Model> Model::reserve(Backend& backend, const Json& config, const LoadOptions& options, DType stored) {
  check(backend.dry_run(), ErrorCode::kState, "reserve: expected the back end of a dry run");
  auto model = family_of(config).build(backend, config, options);
  reserve_parameters(backend, model->parameters(), stored);
  return model;
}

std::unique_ptr<Model> Model::load(Backend& backend, const std::string& directory, const LoadOptions& options) {
  const Json config = Json::parse(read_text_file(directory + "/config.json"), directory + "/config.json");
  auto model = family_of(config).build(backend, config, options);
  ExtraTensors extra;
  extra.ignorable = [](const std::string& name) { return name.find("rotary_emb.inv_freq") != std::string::npos; };
  if (!model->parameters().has("lm_head.weight")) extra.tied["lm_head.weight"] = "model.embed_tokens.weight";
  load_parameters(backend, model->parameters(), directory, extra);
  return model;
}

ModelDescription describe_model(const Json& config) { return family_of(config).describe(config); }

}  // namespace vlmr1
