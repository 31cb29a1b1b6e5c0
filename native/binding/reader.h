// Reads JavaScript values strictly: what does not fit throws ERR_ARGUMENT with the path of the field, what was expected
// and what came.
#pragma once

#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace vlmr1::binding {

class Reader {
 public:
  Reader(Napi::Value value, std::string path) : value_(value), path_(std::move(path)) {}

  Napi::Value value() const { return value_; }
  const std::string& path() const { return path_; }
  bool is_null() const { return value_.IsNull(); }

  Reader field(const char* name) const;
  // Of a plain array.
  std::vector<Reader> items() const;

  bool boolean() const;
  std::string string() const;
  // A file or folder: not empty, without NUL.
  std::string path_string() const;
  // Index of the string among the choices.
  size_t choice(std::initializer_list<const char*> choices) const;
  // NaN is refused; infinities only where the range holds them.
  double number(double min, double max) const;
  int64_t integer(int64_t min, int64_t max) const;
  // 0 to 2⁵³ − 1, the integers that a number holds exactly.
  uint64_t natural() const;
  std::vector<int32_t> int32_array() const;
  std::vector<float> float32_array() const;
  std::vector<uint8_t> byte_array() const;
  std::vector<int32_t> integers(int64_t min, int64_t max) const;

  [[noreturn]] void fail_expected(const std::string& what) const;

 private:
  Napi::Value value_;
  std::string path_;
};

}  // namespace vlmr1::binding
