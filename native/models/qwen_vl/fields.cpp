#include "models/qwen_vl/fields.h"

#include "core/error.h"

namespace vlmr1::qwen_vl {

int64_t positive(const Json& json, const std::string& where, const char* key, int64_t most) {
  const int64_t value = json.at(key).as_int();
  check(value > 0 && value <= most, ErrorCode::kConfig, "config.json: ", where, key,
        ": expected a whole number from 1 to ", most, ", got ", value);
  return value;
}

int64_t positive_or(const Json& json, const std::string& where, const char* key, int64_t most, int64_t fallback) {
  const Json* found = json.find(key);
  return found && !found->is_null() ? positive(json, where, key, most) : fallback;
}

}  // namespace vlmr1::qwen_vl
