// The exact state of training: what trains, AdamW's moments and the step count.
#include <algorithm>
#include <charconv>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "core/error.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"

namespace vlmr1 {

namespace {

constexpr const char* kKind = "vlmr1-native training state";
constexpr const char* kValue = "parameter.";
constexpr const char* kMoment1 = "moment1.";
constexpr const char* kMoment2 = "moment2.";

// A tensor of the state and its name in the file.
struct Entry {
  std::string name;
  Tensor tensor;
};

std::vector<Entry> entries_of(Backend& backend, ParameterStore& parameters, bool with_moments) {
  std::vector<Entry> entries;
  for (const Parameter& parameter : parameters.all()) {
    if (!parameter.trainable) continue;
    entries.push_back({kValue + parameter.name, parameter.master});
    if (!with_moments) continue;
    entries.push_back({kMoment1 + parameter.name, ParameterStore::slice(parameters.moment1(backend), parameter)});
    entries.push_back({kMoment2 + parameter.name, ParameterStore::slice(parameters.moment2(backend), parameter)});
  }
  return entries;
}

int64_t step_of(const SafetensorsFile& file) {
  const auto kind = file.metadata().find("kind");
  check(kind != file.metadata().end() && kind->second == kKind, ErrorCode::kCheckpoint, file.path(),
        ": not a training state");
  const auto step = file.metadata().find("step");
  int64_t count = -1;
  if (step != file.metadata().end()) {
    const char* end = step->second.data() + step->second.size();
    if (std::from_chars(step->second.data(), end, count).ptr != end) count = -1;
  }
  check(count >= 0, ErrorCode::kCheckpoint, file.path(), ": expected a step count in the metadata");
  return count;
}

}  // namespace

void save_state(Backend& backend, ParameterStore& parameters, const std::string& file) {
  const auto buffer = std::make_shared<std::vector<float>>();
  std::vector<TensorToWrite> tensors;
  for (const Entry& entry : entries_of(backend, parameters, parameters.has_moments())) {
    TensorToWrite tensor;
    tensor.name = entry.name;
    tensor.dtype = "F32";
    tensor.shape = {entry.tensor.numel()};
    tensor.fetch = [&backend, value = entry.tensor, buffer] {
      buffer->resize(static_cast<size_t>(value.numel()));
      backend.download(value, buffer->data());
      return static_cast<const void*>(buffer->data());
    };
    tensors.push_back(std::move(tensor));
  }
  write_safetensors(file, tensors, {{"kind", kKind}, {"step", std::to_string(parameters.step_count)}});
}

void load_state(Backend& backend, ParameterStore& parameters, const std::string& path) {
  const SafetensorsFile file(path);
  const int64_t step = step_of(file);
  const bool with_moments = std::any_of(file.tensors().begin(), file.tensors().end(),
                                        [](const auto& entry) { return entry.first.starts_with(kMoment1); });
  std::vector<Entry> entries = entries_of(backend, parameters, with_moments);
  // Everything is checked before anything is changed.
  for (const Entry& entry : entries) {
    const StoredTensor& stored = file.get(entry.name);
    check(stored.dtype == "F32" && stored.numel() == entry.tensor.numel(), ErrorCode::kCheckpoint, path, ": \"",
          entry.name, "\": expected ", entry.tensor.numel(), " F32 numbers, got ", stored.numel(), " of ",
          stored.dtype);
  }
  check(entries.size() == file.tensors().size(), ErrorCode::kCheckpoint, path, ": expected ", entries.size(),
        " tensors, got ", file.tensors().size(), ": it was saved by another model, or with other parameters trained");
  std::vector<float> buffer;
  for (Entry& entry : entries) {
    const StoredTensor& stored = file.get(entry.name);
    buffer.resize(static_cast<size_t>(stored.numel()));
    read_f32(stored, buffer.data());
    backend.upload(entry.tensor, buffer.data());
  }
  if (!with_moments && parameters.has_moments()) {
    backend.fill(parameters.moment1(backend), 0.0f);
    backend.fill(parameters.moment2(backend), 0.0f);
  }
  parameters.step_count = step;
  parameters.refresh(backend);
}

}  // namespace vlmr1
