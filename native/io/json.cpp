#include "io/json.h"

#include <cmath>

#include "core/error.h"

namespace vlmr1 {

namespace {

const char* kind_name(Json::Kind kind) {
  switch (kind) {
    case Json::Kind::kNull: return "null";
    case Json::Kind::kBool: return "a boolean";
    case Json::Kind::kNumber: return "a number";
    case Json::Kind::kString: return "a string";
    case Json::Kind::kArray: return "an array";
    case Json::Kind::kObject: return "an object";
  }
  return "?";
}

void expect_kind(const std::string& path, Json::Kind got, Json::Kind expected) {
  check(got == expected, ErrorCode::kConfig, path, ": expected ", kind_name(expected), ", got ", kind_name(got));
}

// Integers beyond this are not exact in a double.
constexpr double kMaxExactDouble = 9007199254740992.0;

}  // namespace

bool Json::as_bool() const {
  expect_kind(path_, kind_, Kind::kBool);
  return bool_;
}

double Json::as_double() const {
  expect_kind(path_, kind_, Kind::kNumber);
  return number_;
}

int64_t Json::as_int() const {
  check(kind_ == Kind::kNumber, ErrorCode::kConfig, path_, ": expected an integer, got ", kind_name(kind_));
  if (is_integer_) return integer_;
  // Python writers turn some whole numbers into 1.0 or 1e6.
  const bool exact = std::trunc(number_) == number_ && std::fabs(number_) <= kMaxExactDouble;
  check(exact, ErrorCode::kConfig, path_, ": expected an integer of at most 64 bits, got ", number_);
  return static_cast<int64_t>(number_);
}

const std::string& Json::as_string() const {
  expect_kind(path_, kind_, Kind::kString);
  return string_;
}

const std::vector<Json>& Json::as_array() const {
  expect_kind(path_, kind_, Kind::kArray);
  return array_;
}

const std::map<std::string, Json>& Json::as_object() const {
  expect_kind(path_, kind_, Kind::kObject);
  return object_;
}

const Json* Json::find(const std::string& key) const {
  if (kind_ != Kind::kObject) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &found->second;
}

const Json& Json::at(const std::string& key) const {
  expect_kind(path_, kind_, Kind::kObject);
  const Json* value = find(key);
  check(value != nullptr, ErrorCode::kConfig, path_, ": \"", key, "\" is missing");
  return *value;
}

int64_t Json::int_or(const std::string& key, int64_t fallback) const {
  const Json* value = find(key);
  return value == nullptr || value->is_null() ? fallback : value->as_int();
}

double Json::double_or(const std::string& key, double fallback) const {
  const Json* value = find(key);
  return value == nullptr || value->is_null() ? fallback : value->as_double();
}

bool Json::bool_or(const std::string& key, bool fallback) const {
  const Json* value = find(key);
  return value == nullptr || value->is_null() ? fallback : value->as_bool();
}

std::string Json::string_or(const std::string& key, const std::string& fallback) const {
  const Json* value = find(key);
  return value == nullptr || value->is_null() ? fallback : value->as_string();
}

std::string json_quoted(const std::string& text) {
  static const char* hex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace vlmr1
