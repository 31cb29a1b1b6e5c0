#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "core/dtype.h"
#include "core/error.h"
#include "core/float16.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace vlmr1 {

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr size_t kLengthBytes = 8;

struct StoredType {
  std::string_view name;
  size_t bytes;
};
constexpr StoredType kStoredTypes[] = {
    {"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1}, {"I16", 2}, {"U16", 2},
    {"F16", 2},  {"BF16", 2}, {"I32", 4}, {"U32", 4},     {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8},
};

// Everything below is about one file: `where` is its path.
[[noreturn]] void fail_tensor(const std::string& where, const std::string& name, const std::string& what) {
  fail(ErrorCode::kCheckpoint, where, ": tensor \"", name, "\": ", what);
}

size_t element_size(const std::string& where, const std::string& name, const std::string& dtype) {
  const auto* type = std::find_if(std::begin(kStoredTypes), std::end(kStoredTypes),
                                  [&](const StoredType& known) { return known.name == dtype; });
  if (type == std::end(kStoredTypes)) fail_tensor(where, name, "unknown dtype \"" + dtype + "\"");
  return type->bytes;
}

// Bytes of a tensor, guarding the product of its axes.
uint64_t byte_count(const std::string& where, const std::string& name, const std::vector<int64_t>& shape,
                    size_t element) {
  uint64_t bytes = element;
  for (const int64_t dim : shape) {
    const auto axis = static_cast<uint64_t>(dim);
    if (axis != 0 && bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / axis)
      fail_tensor(where, name, "the product of its axes exceeds 64 bits");
    bytes *= axis;
  }
  return bytes;
}

StoredTensor read_entry(const std::string& where, const std::string& name, const Json& entry, const uint8_t* data,
                        uint64_t data_bytes) {
  StoredTensor tensor;
  tensor.dtype = entry.at("dtype").as_string();
  const size_t element = element_size(where, name, tensor.dtype);
  for (const Json& dim : entry.at("shape").as_array()) {
    tensor.shape.push_back(dim.as_int());
    if (tensor.shape.back() < 0) fail_tensor(where, name, "negative axis " + std::to_string(tensor.shape.back()));
  }
  const std::vector<Json>& offsets = entry.at("data_offsets").as_array();
  if (offsets.size() != 2)
    fail_tensor(where, name, "data_offsets: expected [begin, end], got " + std::to_string(offsets.size()) + " numbers");
  const int64_t begin = offsets[0].as_int();
  const int64_t end = offsets[1].as_int();
  if (begin < 0 || end < begin || static_cast<uint64_t>(end) > data_bytes)
    fail_tensor(where, name,
                "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + "] lie outside the file's " +
                    std::to_string(data_bytes) + " bytes of data");
  const uint64_t expected = byte_count(where, name, tensor.shape, element);
  const auto held = static_cast<uint64_t>(end - begin);
  if (held != expected)
    fail_tensor(
        where, name,
        "its shape and dtype take " + std::to_string(expected) + " bytes, data_offsets hold " + std::to_string(held));
  tensor.data = data + begin;
  tensor.bytes = static_cast<size_t>(held);
  return tensor;
}

// The format demands that tensors cover the data without gaps or overlaps: a file that does not is damaged, or hides
// something.
void check_coverage(const std::string& where, const std::map<std::string, StoredTensor>& tensors, const uint8_t* data,
                    uint64_t data_bytes) {
  std::vector<std::pair<const StoredTensor*, const std::string*>> order;
  for (const auto& [name, tensor] : tensors) order.emplace_back(&tensor, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->data, a.first->bytes) < std::pair(b.first->data, b.first->bytes);
  });
  uint64_t at = 0;
  for (const auto& [tensor, name] : order) {
    const auto begin = static_cast<uint64_t>(tensor->data - data);
    if (begin != at)
      fail_tensor(where, *name,
                  std::string(begin < at ? "overlaps" : "leaves a gap after") +
                      " the tensor before it: begins at byte " + std::to_string(begin) + ", expected " +
                      std::to_string(at));
    at += tensor->bytes;
  }
  check(at == data_bytes, ErrorCode::kCheckpoint, where, ": the tensors take ", at, " bytes, the file holds ",
        data_bytes);
}

std::string_view header_text(const std::string& where, const MappedFile& file) {
  check(file.size() >= kLengthBytes, ErrorCode::kCheckpoint, where,
        ": not a safetensors file: expected at least 8 bytes, got ", file.size());
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint64_t>(file.data()[i]) << (8 * i);
  const uint64_t rest = file.size() - kLengthBytes;
  check(length <= kMaxHeader, ErrorCode::kCheckpoint, where, ": not a safetensors file: it claims a header of ", length,
        " bytes, the format allows ", kMaxHeader);
  check(length <= rest, ErrorCode::kCheckpoint, where, ": cut off: the header takes ", length, " bytes, the file has ",
        rest, " after its length");
  return {reinterpret_cast<const char*>(file.data()) + kLengthBytes, static_cast<size_t>(length)};
}

template <typename From, typename To, typename Convert>
void convert_all(const StoredTensor& tensor, To* out, const Convert& convert) {
  const auto count = static_cast<size_t>(tensor.numel());
  for (size_t i = 0; i < count; ++i) {
    From value;  // nothing aligns the data of a file
    std::memcpy(&value, tensor.data + i * sizeof(From), sizeof(From));
    out[i] = convert(value);
  }
}

}  // namespace

int64_t StoredTensor::numel() const {
  int64_t n = 1;
  for (const int64_t dim : shape) n *= dim;
  return n;
}

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), mapping_(path) {
  const std::string_view text = header_text(path, mapping_);
  const uint8_t* data = mapping_.data() + kLengthBytes + text.size();
  const uint64_t data_bytes = mapping_.size() - kLengthBytes - text.size();
  try {
    const Json header = Json::parse(text, path + ": header");
    for (const auto& [name, entry] : header.as_object()) {
      if (name == "__metadata__") {
        for (const auto& [key, value] : entry.as_object()) metadata_[key] = value.as_string();
      } else {
        tensors_[name] = read_entry(path, name, entry, data, data_bytes);
      }
    }
  } catch (const Error& error) {
    // The JSON reader speaks of configuration; here it is the checkpoint that is wrong.
    if (error.code() != ErrorCode::kConfig) throw;
    throw Error(ErrorCode::kCheckpoint, error.what());
  }
  check_coverage(path, tensors_, data, data_bytes);
}

const StoredTensor& SafetensorsFile::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  check(found != tensors_.end(), ErrorCode::kCheckpoint, path_, ": no tensor \"", name, "\"");
  return found->second;
}

void read_f32(const StoredTensor& tensor, float* out) {
  if (tensor.dtype == "F32") {
    if (tensor.bytes > 0) std::memcpy(out, tensor.data, tensor.bytes);
  } else if (tensor.dtype == "BF16") {
    convert_all<uint16_t>(tensor, out, [](uint16_t bits) { return bf16_to_f32(bits); });
  } else if (tensor.dtype == "F16") {
    convert_all<uint16_t>(tensor, out, [](uint16_t bits) { return f16_to_f32(bits); });
  } else if (tensor.dtype == "F64") {
    convert_all<double>(tensor, out, [](double value) { return static_cast<float>(value); });
  } else {
    fail(ErrorCode::kDType, "safetensors: expected F32, BF16, F16 or F64, got ", tensor.dtype);
  }
}

void read_i32(const StoredTensor& tensor, int32_t* out) {
  if (tensor.dtype == "I32") {
    if (tensor.bytes > 0) std::memcpy(out, tensor.data, tensor.bytes);
  } else if (tensor.dtype == "I64") {
    convert_all<int64_t>(tensor, out, [](int64_t value) {
      check(value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max(),
            ErrorCode::kCheckpoint, "safetensors: ", value, " does not fit 32 bits");
      return static_cast<int32_t>(value);
    });
  } else if (tensor.dtype == "U8") {
    convert_all<uint8_t>(tensor, out, [](uint8_t value) { return static_cast<int32_t>(value); });
  } else {
    fail(ErrorCode::kDType, "safetensors: expected I32, I64 or U8, got ", tensor.dtype);
  }
}

}  // namespace vlmr1
