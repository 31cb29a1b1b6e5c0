// The golden models: a model on its own back end, prompts with pictures from the golden files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "models/model.h"
#include "tests/golden.h"

namespace vlmr1::testing {

// Everything trains, in f32.
LoadOptions full_training(bool gradient_checkpointing = false);
// The same with parts of a golden model frozen.
LoadOptions with_frozen(const std::string& folder, const std::set<Part>& parts);

struct ModelFixture {
  explicit ModelFixture(const std::string& folder, int threads = 2, const LoadOptions& options = full_training(),
                        const std::string& isa = "");
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
};

struct GoldenCase {
  std::string name;
  Prompt prompt;
  std::vector<int32_t> completion;
  const Json* json = nullptr;
  Group group() const { return {prompt, {completion}}; }
};

// All cases of a golden model folder ("qwen2_5_vl_a").
class GoldenCases {
 public:
  explicit GoldenCases(const std::string& folder);
  const std::vector<GoldenCase>& all() const { return cases_; }
  const GoldenCase& get(const std::string& name) const;
  const GoldenTensors& tensors() const { return tensors_; }
  const Json& json() const { return json_; }

 private:
  Json json_;
  GoldenTensors tensors_;
  std::vector<GoldenCase> cases_;
};

inline const std::vector<std::string>& golden_models() {
  static const std::vector<std::string> kFolders{"qwen2_5_vl_a", "qwen2_5_vl_b", "qwen2_vl_a", "qwen2_vl_b"};
  return kFolders;
}

std::vector<float> to_vector(Backend& backend, const Tensor& x);

}  // namespace vlmr1::testing
