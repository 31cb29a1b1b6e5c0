#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "core/dtype.h"
#include "core/error.h"
#include "core/float16.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace vlmr1 {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian and written from memory");

namespace {

constexpr size_t kChunk = size_t{1} << 18;  // elements converted at a time

bool is_half(const TensorToWrite& tensor) { return tensor.dtype == "BF16" || tensor.dtype == "F16"; }
size_t element_size(const TensorToWrite& tensor) { return tensor.dtype == "U8" ? 1 : is_half(tensor) ? 2 : 4; }

size_t numel(const TensorToWrite& tensor) {
  size_t n = 1;
  for (const int64_t dim : tensor.shape) n *= static_cast<size_t>(dim);
  return n;
}

// Larger elements first, so that every tensor is aligned to its own element's size: readers that map the file rely on
// it. Otherwise the caller's order.
std::vector<const TensorToWrite*> file_order(const std::string& path, const std::vector<TensorToWrite>& tensors) {
  std::vector<const TensorToWrite*> order;
  std::set<std::string> names;
  for (const TensorToWrite& tensor : tensors) {
    const bool known = is_half(tensor) || tensor.dtype == "F32" || tensor.dtype == "I32" || tensor.dtype == "U8";
    check(known, ErrorCode::kArgument, path, ": tensor \"", tensor.name,
          "\": expected dtype F32, BF16, F16, I32 or U8, got \"", tensor.dtype, "\"");
    check(tensor.name != "__metadata__" && names.insert(tensor.name).second, ErrorCode::kArgument, path,
          ": the tensor name \"", tensor.name, "\" is reserved or stands twice");
    for (const int64_t dim : tensor.shape)
      check(dim >= 0, ErrorCode::kArgument, path, ": tensor \"", tensor.name, "\": negative axis ", dim);
    order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const TensorToWrite* a, const TensorToWrite* b) { return element_size(*a) > element_size(*b); });
  return order;
}

std::string header_text(const std::vector<const TensorToWrite*>& order,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) text += json_quoted(key) + ":" + json_quoted(value) + ",";
    text.back() = '}';
    text += ',';
  }
  size_t at = 0;
  for (const TensorToWrite* tensor : order) {
    text += json_quoted(tensor->name) + ":{\"dtype\":\"" + tensor->dtype + "\",\"shape\":[";
    for (size_t i = 0; i < tensor->shape.size(); ++i) text += (i ? "," : "") + std::to_string(tensor->shape[i]);
    const size_t end = at + numel(*tensor) * element_size(*tensor);
    text += "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(end) + "]},";
    at = end;
  }
  if (text.size() > 1) text.back() = '}';
  else text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

void write_halves(AtomicFile& file, const float* values, size_t count, bool bf16) {
  std::vector<uint16_t> halves(std::min(count, kChunk));
  for (size_t done = 0; done < count; done += kChunk) {
    const size_t part = std::min(kChunk, count - done);
    for (size_t i = 0; i < part; ++i) halves[i] = bf16 ? f32_to_bf16(values[done + i]) : f32_to_f16(values[done + i]);
    file.write(halves.data(), part * sizeof(uint16_t));
  }
}

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::vector<const TensorToWrite*> order = file_order(path, tensors);
  const std::string header = header_text(order, metadata);
  AtomicFile file(path);
  const uint64_t length = header.size();
  file.write(&length, sizeof(length));
  file.write(header.data(), header.size());
  for (const TensorToWrite* tensor : order) {
    const size_t count = numel(*tensor);
    if (count == 0) continue;
    const void* data = tensor->fetch ? tensor->fetch() : tensor->data;
    check(data != nullptr, ErrorCode::kArgument, path, ": tensor \"", tensor->name, "\" has no data");
    const bool narrows = is_half(*tensor) && !tensor->converted;
    if (narrows) write_halves(file, static_cast<const float*>(data), count, tensor->dtype == "BF16");
    else file.write(data, count * element_size(*tensor));
  }
  file.commit();
}

}  // namespace vlmr1
