// Weights from a checkpoint's files into a store. Frozen matrices stay where they are, in the mapped file.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "backend/backend.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/random.h"
#include "core/reserved_memory.h"
#include "io/checkpoint.h"
#include "io/names.h"
#include "io/stored_model.h"

namespace vlmr1 {

namespace {

constexpr const char* kNotFinite = "with infinite numbers or NaN (they cannot be trained; take another checkpoint)";

DType stored_type(const StoredTensor& stored) {
  return stored.dtype == "BF16" ? DType::kBF16 : stored.dtype == "F16" ? DType::kF16 : DType::kF32;
}

ProductTypes product_types(Precision precision, DType stored) {
  if (precision == Precision::kBF16) return {DType::kBF16, DType::kBF16};
  return {precision == Precision::kAuto && stored == DType::kBF16 ? DType::kBF16 : DType::kF32, DType::kF32};
}

// A frozen parameter with memory of its own.
Tensor frozen_copy(Backend& backend, const Parameter& p, ProductTypes products) {
  const MemoryScope scope(MemoryKind::kWeights);
  Tensor value = backend.empty(p.shape);
  value.storage()->persistent = true;
  if (p.is_matrix()) value.storage()->products = products;
  return value;
}

// Vectors are small and read as f32; a matrix that nothing aligns, or of doubles, is copied.
bool can_stay_mapped(const Parameter& p, const StoredTensor& stored) {
  const bool aligned = reinterpret_cast<uintptr_t>(stored.data) % dtype_size(stored_type(stored)) == 0;
  return p.is_matrix() && stored.dtype != "F64" && aligned;
}

// Whether it stays in the file.
bool load_frozen(Backend& backend, Precision precision, Parameter& p, const StoredParameter& source,
                 std::vector<float>& buffer) {
  const StoredTensor& stored = *source.tensor;
  const ProductTypes products = product_types(precision, stored_type(stored));
  if (can_stay_mapped(p, stored)) {
    const auto discard = [file = source.file](const void* data, size_t bytes) { file->discard(data, bytes); };
    p.value = backend.adopt({stored.data, stored.bytes, source.file, discard}, p.shape, stored_type(stored), products);
    return true;
  }
  buffer.resize(static_cast<size_t>(stored.numel()));
  read_f32(stored, buffer.data());
  p.value = frozen_copy(backend, p, products);
  backend.upload(p.value, buffer.data());
  return false;
}

// Weights are looked at while they are copied; what stays in the file is not read before it is used.
bool all_finite(const std::vector<float>& values) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t bad = 0;
  for (const float value : values) bad |= (std::bit_cast<uint32_t>(value) & kExponent) == kExponent;
  return bad == 0;
}

bool all_finite(const uint8_t* halves, int64_t count) {
  constexpr uint16_t kExponent = 0x7f80u;
  bool bad = false;
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;  // nothing aligns them
    std::memcpy(&bits, halves + 2 * i, sizeof(bits));
    bad |= (bits & kExponent) == kExponent;
  }
  return !bad;
}

void load_into(Backend& backend, Parameter& p, const StoredTensor& stored, std::vector<float>& buffer,
               Problems& problems) {
  Tensor to = p.exact();
  if (to.dtype() == DType::kBF16 && stored.dtype == "BF16") {
    if (!all_finite(stored.data, stored.numel())) problems.add(kNotFinite, p.name);
    return backend.upload(to, stored.data);
  }
  buffer.resize(static_cast<size_t>(stored.numel()));
  read_f32(stored, buffer.data());
  if (!all_finite(buffer)) problems.add(kNotFinite, p.name);
  if (to.dtype() == DType::kF32) return backend.upload(to, buffer.data());
  std::vector<uint16_t> halves(buffer.size());
  std::transform(buffer.begin(), buffer.end(), halves.begin(), [](float value) { return f32_to_bf16(value); });
  backend.upload(to, halves.data());
}

// As PEFT draws a fresh adapter: A uniform in ±1/√in (Kaiming with a = √5), B zero.
void draw_adapters(Backend& backend, ParameterStore& parameters, uint64_t seed) {
  std::vector<float> values;
  for (const auto& [name, adapter] : parameters.adapters()) {
    Tensor a = adapter.a->exact();
    const double bound = 1.0 / std::sqrt(static_cast<double>(a.shape()[1]));
    values.resize(static_cast<size_t>(a.numel()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>((2.0 * random_uniform(seed, adapter.index, i, 0) - 1.0) * bound);
    backend.upload(a, values.data());
  }
}

void load_adapters(Backend& backend, ParameterStore& parameters, const std::string& path) {
  const StoredModel stored = StoredModel::open_file(path, from_peft_name);
  Problems problems;
  for (const auto& [name, tensor] : stored.tensors())
    if (!parameters.has(name)) problems.add("that no adapted layer has a place for", name);
  for (size_t i = parameters.base_count(); i < parameters.all().size(); ++i) {
    const Parameter& p = parameters.all()[i];
    const auto found = stored.tensors().find(p.name);
    if (found == stored.tensors().end()) problems.add("missing", p.name);
    else problems.check_stored(p.name, p.shape, *found->second.tensor);
  }
  problems.throw_if_any("the adapter " + path + " does not fit the model");
  std::vector<float> buffer;
  for (size_t i = parameters.base_count(); i < parameters.all().size(); ++i) {
    Parameter& p = parameters.all()[i];
    load_into(backend, p, *stored.tensors().at(p.name).tensor, buffer, problems);
  }
  problems.throw_if_any("the adapter " + path + " cannot be used");
}

bool same_values(const StoredTensor& a, const StoredTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && (a.bytes == 0 || std::memcmp(a.data, b.data, a.bytes) == 0);
}

// Where a tied tensor has values of its own, transformers 4 ties it all the same and transformers 5 does not: there is
// no telling which of the two models is meant.
void check_extra(const StoredModel& model, const ParameterStore& parameters, const ExtraTensors& extra,
                 Problems& problems) {
  for (const auto& [name, stored] : model.tensors()) {
    if (parameters.has(name) || extra.ignorable(name)) continue;
    const auto tied = extra.tied.find(name);
    if (tied == extra.tied.end()) {
      problems.add("that the model has no place for", name);
      continue;
    }
    const auto original = model.tensors().find(tied->second);
    if (original != model.tensors().end() && !same_values(*stored.tensor, *original->second.tensor))
      problems.add("with values of its own though config.json ties it (tie_word_embeddings: false uses both)",
                   name + " (tied to " + tied->second + ")");
    stored.file->discard(stored.tensor->data, stored.tensor->bytes);
  }
}

}  // namespace

void load_parameters(Backend& backend, ParameterStore& parameters, const std::string& directory,
                     const ExtraTensors& extra) {
  const StoredModel model = StoredModel::open_folder(directory, published_name);
  Problems problems;
  check_extra(model, parameters, extra, problems);
  for (size_t i = 0; i < parameters.base_count(); ++i) {
    const Parameter& p = parameters.all()[i];
    const auto found = model.tensors().find(p.name);
    if (found == model.tensors().end()) problems.add("missing", p.name);
    else problems.check_stored(p.name, p.shape, *found->second.tensor);
  }
  problems.throw_if_any("the checkpoint in " + directory + " does not fit the model");
  std::vector<float> buffer;
  std::set<std::shared_ptr<const SafetensorsFile>> mapped;
  for (size_t i = 0; i < parameters.base_count(); ++i) {
    Parameter& p = parameters.all()[i];
    const StoredParameter& source = model.tensors().at(p.name);
    if (!p.held) {
      if (load_frozen(backend, parameters.plan().precision, p, source, buffer)) mapped.insert(source.file);
      continue;
    }
    load_into(backend, p, *source.tensor, buffer, problems);
    // The file stays mapped where parts of it are frozen; what was read must not stay in memory with it.
    source.file->discard(source.tensor->data, source.tensor->bytes);
  }
  problems.throw_if_any("the checkpoint in " + directory + " cannot be used");
  for (const auto& file : mapped) parameters.add_source([file] { file->check_unchanged(); });
  const LoraPlan& lora = parameters.plan().lora;
  if (lora.weights.empty()) draw_adapters(backend, parameters, lora.seed);
  else load_adapters(backend, parameters, lora.weights);
  parameters.refresh(backend);
  parameters.keep_start(backend);
}

void reserve_parameters(Backend& backend, ParameterStore& parameters, DType stored) {
  const ProductTypes products = product_types(parameters.plan().precision, stored);
  for (size_t i = 0; i < parameters.base_count(); ++i) {
    Parameter& p = parameters.all()[i];
    if (p.held) continue;
    if (!p.is_matrix()) {
      p.value = frozen_copy(backend, p, products);
      continue;
    }
    const size_t bytes = static_cast<size_t>(p.shape.numel()) * dtype_size(stored);
    const std::shared_ptr<void> file = reserve_shared(bytes);
    p.value = backend.adopt({file.get(), bytes, file, [](const void*, size_t) {}}, p.shape, stored, products);
  }
  parameters.refresh(backend);
  parameters.keep_start(backend);
}

}  // namespace vlmr1
