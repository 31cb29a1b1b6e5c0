#include "binding/reader.h"

#include <cmath>
#include <sstream>

#include "core/error.h"

namespace vlmr1::binding {

namespace {

constexpr double kMaxSafeInteger = 9007199254740991.0;

std::string typed_array_name(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array: return "an Int8Array";
    case napi_uint8_array: return "a Uint8Array";
    case napi_uint8_clamped_array: return "a Uint8ClampedArray";
    case napi_int16_array: return "an Int16Array";
    case napi_uint16_array: return "a Uint16Array";
    case napi_int32_array: return "an Int32Array";
    case napi_uint32_array: return "a Uint32Array";
    case napi_float32_array: return "a Float32Array";
    case napi_float64_array: return "a Float64Array";
    default: return "another typed array";
  }
}

std::string number_text(double value) {
  std::ostringstream text;
  text.precision(17);
  if (std::fabs(value) <= kMaxSafeInteger && std::trunc(value) == value) text << static_cast<int64_t>(value);
  else text << value;
  return text.str();
}

std::string describe(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return number_text(value.As<Napi::Number>().DoubleValue());
    case napi_string: return "a string";
    case napi_symbol: return "a symbol";
    case napi_function: return "a function";
    case napi_bigint: return "a bigint";
    default: break;
  }
  if (value.IsArray()) return "an array";
  if (value.IsTypedArray()) return typed_array_name(value.As<Napi::TypedArray>().TypedArrayType());
  return "an object";
}

std::string range_text(double min, double max) {
  if (std::isinf(min) && std::isinf(max)) return "";
  if (std::isinf(max)) return " of at least " + number_text(min);
  return " from " + number_text(min) + " to " + number_text(max);
}

// Values of a typed array. A detached one has none.
template <typename Element>
std::vector<Element> copy_elements(const Napi::TypedArray& array) {
  const auto typed = array.As<Napi::TypedArrayOf<Element>>();
  const Element* data = typed.Data();
  return data == nullptr ? std::vector<Element>() : std::vector<Element>(data, data + typed.ElementLength());
}

bool is_typed(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

}  // namespace

void Reader::fail_expected(const std::string& what) const {
  fail(ErrorCode::kArgument, path_, ": expected ", what, ", got ", describe(value_));
}

Reader Reader::field(const char* name) const {
  if (!value_.IsObject() || value_.IsArray() || value_.IsTypedArray()) fail_expected("an object");
  const Napi::Value value = value_.As<Napi::Object>().Get(name);
  // The arguments themselves have only the verb's name before their fields: "generate: sampling.topK".
  const bool top = path_.find(':') == std::string::npos;
  return {value, path_ + (top ? ": " : ".") + name};
}

std::vector<Reader> Reader::items() const {
  if (!value_.IsArray()) fail_expected("an array");
  const auto array = value_.As<Napi::Array>();
  const uint32_t length = array.Length();
  // One value at a time: a sparse array may claim billions, its first hole ends the reading.
  std::vector<Reader> items;
  for (uint32_t i = 0; i < length; ++i) {
    const Napi::Value value = array.Get(i);
    items.emplace_back(value, path_ + "[" + std::to_string(i) + "]");
    if (value.IsUndefined()) items.back().fail_expected("a value");
  }
  return items;
}

bool Reader::boolean() const {
  if (!value_.IsBoolean()) fail_expected("a boolean");
  return value_.As<Napi::Boolean>().Value();
}

std::string Reader::string() const {
  if (!value_.IsString()) fail_expected("a string");
  return value_.As<Napi::String>().Utf8Value();
}

std::string Reader::path_string() const {
  const std::string path = string();
  check(!path.empty() && path.find('\0') == std::string::npos, ErrorCode::kArgument, path_,
        ": expected a path, got a string that is empty or holds NUL");
  return path;
}

size_t Reader::choice(std::initializer_list<const char*> choices) const {
  std::string list;
  const std::string got = value_.IsString() ? string() : std::string();
  size_t index = 0;
  for (const char* name : choices) {
    if (value_.IsString() && got == name) return index;
    list += std::string(index++ == 0 ? "\"" : ", \"") + name + "\"";
  }
  if (!value_.IsString()) fail_expected("one of " + list);
  fail(ErrorCode::kArgument, path_, ": expected one of ", list, ", got \"", got, "\"");
}

double Reader::number(double min, double max) const {
  const std::string expected = "a number" + range_text(min, max);
  if (!value_.IsNumber()) fail_expected(expected);
  const double number = value_.As<Napi::Number>().DoubleValue();
  if (!(number >= min && number <= max)) fail_expected(expected);
  return number;
}

int64_t Reader::integer(int64_t min, int64_t max) const {
  const std::string expected = "an integer" + range_text(static_cast<double>(min), static_cast<double>(max));
  if (!value_.IsNumber()) fail_expected(expected);
  const double number = value_.As<Napi::Number>().DoubleValue();
  const bool whole = std::trunc(number) == number && std::fabs(number) <= kMaxSafeInteger;
  if (!whole || number < static_cast<double>(min) || number > static_cast<double>(max)) fail_expected(expected);
  return static_cast<int64_t>(number);
}

uint64_t Reader::natural() const { return static_cast<uint64_t>(integer(0, static_cast<int64_t>(kMaxSafeInteger))); }

std::vector<int32_t> Reader::int32_array() const {
  if (!is_typed(value_, napi_int32_array)) fail_expected("an Int32Array");
  return copy_elements<int32_t>(value_.As<Napi::TypedArray>());
}

std::vector<float> Reader::float32_array() const {
  if (!is_typed(value_, napi_float32_array)) fail_expected("a Float32Array");
  return copy_elements<float>(value_.As<Napi::TypedArray>());
}

std::vector<uint8_t> Reader::byte_array() const {
  if (!is_typed(value_, napi_uint8_array) && !is_typed(value_, napi_uint8_clamped_array)) fail_expected("a Uint8Array");
  return copy_elements<uint8_t>(value_.As<Napi::TypedArray>());
}

std::vector<int32_t> Reader::integers(int64_t min, int64_t max) const {
  std::vector<int32_t> values;
  for (const Reader& item : items()) values.push_back(static_cast<int32_t>(item.integer(min, max)));
  return values;
}

}  // namespace vlmr1::binding
