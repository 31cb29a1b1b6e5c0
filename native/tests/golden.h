// Golden files: what a reference implementation computed, made by scripts/golden.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/json.h"
#include "io/safetensors.h"

namespace vlmr1::testing {

// In the folder that VLMR1_GOLDEN_DIR names, otherwise in the sources' test/golden.
std::string golden_path(const std::string& name);
Json golden_json(const std::string& name);

class GoldenTensors {
 public:
  explicit GoldenTensors(const std::string& name) : file_(golden_path(name)) {}
  bool has(const std::string& tensor) const { return file_.tensors().count(tensor) != 0; }
  const StoredTensor& get(const std::string& tensor) const { return file_.get(tensor); }
  std::vector<float> f32(const std::string& tensor) const;
  std::vector<int32_t> i32(const std::string& tensor) const;
  std::vector<uint8_t> u8(const std::string& tensor) const;
  const SafetensorsFile& file() const { return file_; }

 private:
  SafetensorsFile file_;
};

// Arrays of a golden JSON file.
std::vector<int32_t> int_list(const Json& array);
std::vector<float> float_list(const Json& array);

}  // namespace vlmr1::testing
