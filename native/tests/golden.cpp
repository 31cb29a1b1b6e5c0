#include "tests/golden.h"

#include <cstdlib>

#include "io/files.h"
#include "tests/testing.h"

#ifndef VLMR1_SOURCE_DIR
#define VLMR1_SOURCE_DIR "."
#endif

namespace vlmr1::testing {

std::string golden_path(const std::string& name) {
  if (name.starts_with("/")) return name;  // a folder that a test made
  const char* folder = std::getenv("VLMR1_GOLDEN_DIR");
  return join_path(folder != nullptr ? folder : VLMR1_SOURCE_DIR "/test/golden", name);
}

Json golden_json(const std::string& name) {
  const std::string path = golden_path(name);
  return Json::parse(read_text_file(path), path);
}

std::vector<float> GoldenTensors::f32(const std::string& tensor) const {
  const StoredTensor& stored = get(tensor);
  std::vector<float> values(static_cast<size_t>(stored.numel()));
  read_f32(stored, values.data());
  return values;
}

std::vector<int32_t> GoldenTensors::i32(const std::string& tensor) const {
  const StoredTensor& stored = get(tensor);
  std::vector<int32_t> values(static_cast<size_t>(stored.numel()));
  read_i32(stored, values.data());
  return values;
}

std::vector<uint8_t> GoldenTensors::u8(const std::string& tensor) const {
  const StoredTensor& stored = get(tensor);
  check(stored.dtype == "U8", ErrorCode::kDType, tensor, ": expected U8, got ", stored.dtype);
  return {stored.data, stored.data + stored.bytes};
}

std::vector<int32_t> int_list(const Json& array) {
  std::vector<int32_t> values;
  for (const Json& value : array.as_array()) values.push_back(static_cast<int32_t>(value.as_int()));
  return values;
}

std::vector<float> float_list(const Json& array) {
  std::vector<float> values;
  for (const Json& value : array.as_array()) values.push_back(static_cast<float>(value.as_double()));
  return values;
}

}  // namespace vlmr1::testing
