// A small, strict JSON reader for config.json and safetensors headers (UTF-8, depth and size limits).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vlmr1 {

class Json {
 public:
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  // `where` names the source in errors. Throws ERR_CONFIG with line and column.
  static Json parse(std::string_view text, const std::string& where);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_object() const { return kind_ == Kind::kObject; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_number() const { return kind_ == Kind::kNumber; }

  // Typed reading; throws ERR_CONFIG saying the path, what was expected and what came.
  bool as_bool() const;
  double as_double() const;
  int64_t as_int() const;  // exact integers only
  const std::string& as_string() const;
  const std::vector<Json>& as_array() const;
  const std::map<std::string, Json>& as_object() const;

  // Member of an object, or null if there is none or this is not an object.
  const Json* find(const std::string& key) const;
  const Json& at(const std::string& key) const;  // throws ERR_CONFIG when missing
  // With a default where the key is missing or null.
  int64_t int_or(const std::string& key, int64_t fallback) const;
  double double_or(const std::string& key, double fallback) const;
  bool bool_or(const std::string& key, bool fallback) const;
  std::string string_or(const std::string& key, const std::string& fallback) const;

 private:
  friend class JsonParser;
  Kind kind_ = Kind::kNull;
  std::string path_;  // for errors: "config.json: vision_config.depth"
  bool bool_ = false;
  double number_ = 0;
  int64_t integer_ = 0;
  bool is_integer_ = false;
  std::string string_;
  std::vector<Json> array_;
  std::map<std::string, Json> object_;
};

// A string as JSON writes it, its quotes included.
std::string json_quoted(const std::string& text);

}  // namespace vlmr1
