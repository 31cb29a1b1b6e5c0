#include "models/model.h"

#include <vector>

#include "core/random.h"
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

void fill_random(Backend& backend, Parameter& p, uint64_t seed, uint64_t index, double range) {
  std::vector<float> values(static_cast<size_t>(p.value.numel()));
  const bool norm = p.value.shape().rank() == 1 && p.name.find(".bias") == std::string::npos;
  for (size_t i = 0; i < values.size(); ++i) {
    if (p.decays) values[i] = static_cast<float>(random_normal(seed, index, i) * range);
    else values[i] = norm ? 1.0f : 0.0f;
  }
  backend.upload(p.value, values.data());
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

std::unique_ptr<Model> Model::random(Backend& backend, const std::string& config_json, uint64_t seed) {
  const Json config = Json::parse(config_json, "config.json");
  auto model = build(backend, config, {});
  const double range = config.double_or("initializer_range", 0.02);
  uint64_t index = 0;
  for (Parameter& p : model->parameters().all()) fill_random(backend, p, seed, index++, range);
  model->parameters().touch();
  return model;
}

}  // namespace vlmr1
