#include "tests/model_fixture.h"

namespace vlmr1::testing {

LoadOptions full_training(bool gradient_checkpointing) {
  LoadOptions options;
  options.plan.mode = TrainMode::kFull;
  options.gradient_checkpointing = gradient_checkpointing;
  return options;
}

LoadOptions with_frozen(const std::string& folder, const std::set<Part>& parts) {
  LoadOptions options = full_training();
  for (const ParameterSpec& spec : describe_model(golden_json(folder + "/config.json")).parameters)
    if (parts.count(spec.part) != 0) options.plan.frozen.insert(spec.name);
  return options;
}

ModelFixture::ModelFixture(const std::string& folder, int threads, const LoadOptions& options, const std::string& isa)
    : backend(make_cpu_backend({threads, isa})), model(Model::load(*backend, golden_path(folder), options)) {}

GoldenCases::GoldenCases(const std::string& folder)
    : json_(golden_json(folder + "/cases.json")), tensors_(folder + "/cases.safetensors") {
  for (const Json& c : json_.at("cases").as_array()) {
    GoldenCase out;
    out.name = c.at("name").as_string();
    out.json = &c;
    out.prompt.tokens = int_list(c.at("prompt_tokens"));
    out.completion = int_list(c.at("completion_tokens"));
    const auto& grids = c.at("images").as_array();
    if (!grids.empty()) {
      const std::vector<float> pixels = tensors_.f32(out.name + ".pixel_values");
      size_t next = 0, patches = 0;
      for (const Json& grid : grids) {
        const auto g = int_list(grid);
        patches += static_cast<size_t>(g[0]) * g[1] * g[2];
      }
      const size_t elements = pixels.size() / patches;
      for (const Json& grid : grids) {
        const auto g = int_list(grid);
        auto picture = std::make_shared<Picture>();
        picture->grid = {g[0], g[1], g[2]};
        const size_t count = static_cast<size_t>(picture->patches()) * elements;
        picture->pixel_values.assign(pixels.begin() + next, pixels.begin() + next + count);
        next += count;
        out.prompt.pictures.push_back(picture);
      }
    }
    cases_.push_back(std::move(out));
  }
}

const GoldenCase& GoldenCases::get(const std::string& name) const {
  for (const GoldenCase& c : cases_)
    if (c.name == name) return c;
  fail(ErrorCode::kState, "no golden case is named ", name);
}

std::vector<float> to_vector(Backend& backend, const Tensor& x) {
  std::vector<float> host(static_cast<size_t>(x.numel()));
  backend.download(x, host.data());
  return host;
}

}  // namespace vlmr1::testing
