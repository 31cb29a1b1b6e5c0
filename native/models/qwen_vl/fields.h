// Fields of a config.json.
#pragma once

#include <cstdint>
#include <string>

#include "io/json.h"

namespace vlmr1::qwen_vl {

// Limits far above any model, so that no file can make sizes that overflow.
constexpr int64_t kMostWidth = 1 << 20;
constexpr int64_t kMostTokens = 1 << 30;
constexpr int64_t kMostLayers = 1 << 12;
constexpr int64_t kMostPixels = 1 << 8;  // along a side of a patch
constexpr int64_t kMostMerged = 1 << 4;

// A whole number from 1 to `most`. `where` is the object's name and a dot in errors, empty at the top. Throws
// ERR_CONFIG.
int64_t positive(const Json& json, const std::string& where, const char* key, int64_t most);
// The same with a value for a missing or null field.
int64_t positive_or(const Json& json, const std::string& where, const char* key, int64_t most, int64_t fallback);

}  // namespace vlmr1::qwen_vl
