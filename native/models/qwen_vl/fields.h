// Fields of a config.json.
#pragma once

#include <string>

#include "io/json.h"

namespace vlmr1::qwen_vl {

// A whole number above 0. `where` is the object's name and a dot in errors, empty at the top. Throws ERR_CONFIG.
int64_t positive(const Json& json, const std::string& where, const char* key);
// The same with a value for a missing or null field.
int64_t positive_or(const Json& json, const std::string& where, const char* key, int64_t fallback);
// rope_theta of an object's rope_parameters.
double nested_theta(const Json& json, double fallback);

}  // namespace vlmr1::qwen_vl
