#include "models/qwen_vl/fields.h"

#include "core/error.h"

namespace vlmr1::qwen_vl {

int64_t positive(const Json& json, const std::string& where, const char* key) {
  const int64_t value = json.at(key).as_int();
  check(value > 0, ErrorCode::kConfig, "config.json: ", where, key, ": expected a value above 0, got ", value);
  return value;
}

int64_t positive_or(const Json& json, const std::string& where, const char* key, int64_t fallback) {
  const Json* found = json.find(key);
  return found && !found->is_null() ? positive(json, where, key) : fallback;
}

double nested_theta(const Json& json, double fallback) {
  const Json* parameters = json.find("rope_parameters");
  return parameters && parameters->is_object() ? parameters->double_or("rope_theta", fallback) : fallback;
}

}  // namespace vlmr1::qwen_vl
