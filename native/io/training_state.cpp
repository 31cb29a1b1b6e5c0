// The exact state of training: what trains, AdamW's moments and the step count; or the weights of a writable model.
#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "core/error.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"

namespace vlmr1 {

namespace {

constexpr int64_t kMostSteps = int64_t{1} << 53;
constexpr const char* kKind = "vlmr1-native training state";
constexpr const char* kValue = "parameter.";
constexpr const char* kMoments[] = {"moment1.", "moment2."};
constexpr const char* kScales[] = {"moment1_scale.", "moment2_scale."};

// A tensor of the state and its name in the file.
struct Entry {
  std::string name;
  Tensor tensor;
};

bool is_kept(const ParameterStore& parameters, const Parameter& p) {
  return p.trainable || (parameters.plan().writable && p.held);
}

std::vector<Entry> entries_of(const ParameterStore& parameters, bool with_moments) {
  std::vector<Entry> entries;
  for (const Parameter& p : parameters.all()) {
    if (!is_kept(parameters, p)) continue;
    entries.push_back({kValue + p.name, p.exact()});
    if (!with_moments) continue;
    const Moment moments[] = {parameters.moment1(p), parameters.moment2(p)};
    for (int i = 0; i < 2; ++i) {
      entries.push_back({kMoments[i] + p.name, moments[i].values});
      if (moments[i].scales) entries.push_back({kScales[i] + p.name, moments[i].scales});
    }
  }
  return entries;
}

const char* stored_type(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::kF32: return "F32";
    case DType::kBF16: return "BF16";
    case DType::kU8: return "U8";
    default: fail(ErrorCode::kDType, "state: a tensor of ", dtype_name(tensor.dtype()));
  }
}

// What kind of state it is, as the metadata says it. Older files say nothing and are of this kind.
const std::map<std::string, std::string> kDefaults{{"holds", "what trains"}, {"weights", "f32"}, {"moments", "f32"}};

std::map<std::string, std::string> kind_of(const ParameterStore& parameters) {
  const TrainingPlan& plan = parameters.plan();
  const bool halves = plan.stochastic_rounding || (plan.writable && plan.precision == Precision::kBF16);
  return {{"holds", plan.writable ? "all weights" : "what trains"},
          {"weights", halves ? "bf16" : "f32"},
          {"moments", plan.moments == MomentType::kInt8 ? "int8" : "f32"}};
}

void check_kind(const SafetensorsFile& file, const ParameterStore& parameters, bool with_moments) {
  const std::map<std::string, std::string> advice{
      {"holds", "a trained model takes the state of one, a writable copy that of a copy"},
      {"weights", "load the model with the settings of the run that saved it (stochastic rounding, precision)"},
      {"moments", "load the model with the optimizer of the run that saved it (adamw has f32, adamw_8bit int8)"}};
  for (const auto& [name, expected] : kind_of(parameters)) {
    if (name == "moments" && !with_moments) continue;
    const auto found = file.metadata().find(name);
    const std::string& got = found == file.metadata().end() ? kDefaults.at(name) : found->second;
    check(got == expected, ErrorCode::kCheckpoint, file.path(), ": ", name, ": expected \"", expected, "\", got \"",
          got, "\": ", advice.at(name), ", or begin anew from saved weights");
  }
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
  check(count >= 0 && count <= kMostSteps, ErrorCode::kCheckpoint, file.path(),
        ": expected a step count in the metadata, from 0 to ", kMostSteps);
  return count;
}

// Older files hold every tensor flat.
void check_entry(const SafetensorsFile& file, const Entry& entry) {
  const StoredTensor& stored = file.get(entry.name);
  const std::vector<int64_t> flat{entry.tensor.numel()};
  const bool fits = stored.shape == entry.tensor.shape().axes() || stored.shape == flat;
  Shape got;
  if (!fits && stored.shape.size() <= 5)
    for (const int64_t axis : stored.shape) got.push_back(axis);
  check(stored.dtype == stored_type(entry.tensor) && fits, ErrorCode::kCheckpoint, file.path(), ": \"", entry.name,
        "\": expected ", entry.tensor.numel(), " ", stored_type(entry.tensor), " numbers as ",
        entry.tensor.shape().str(), ", got ", stored.numel(), " of ", stored.dtype, fits ? "" : " as " + got.str());
}

}  // namespace

void save_state(Backend& backend, const ParameterStore& parameters, const std::string& file) {
  const auto buffer = std::make_shared<std::vector<char>>();
  std::vector<TensorToWrite> tensors;
  for (const Entry& entry : entries_of(parameters, parameters.has_moments())) {
    TensorToWrite tensor;
    tensor.name = entry.name;
    tensor.dtype = stored_type(entry.tensor);
    tensor.shape = entry.tensor.shape().axes();
    tensor.converted = true;
    tensor.fetch = [&backend, value = entry.tensor, buffer] {
      buffer->resize(value.bytes());
      backend.download(value, buffer->data());
      return static_cast<const void*>(buffer->data());
    };
    tensors.push_back(std::move(tensor));
  }
  std::map<std::string, std::string> metadata = kind_of(parameters);
  metadata.insert({{"kind", kKind}, {"step", std::to_string(parameters.step_count)}});
  write_safetensors(file, tensors, metadata);
}

void load_state(Backend& backend, ParameterStore& parameters, const std::string& path) {
  const SafetensorsFile file(path);
  const int64_t step = step_of(file);
  const bool with_moments = std::any_of(file.tensors().begin(), file.tensors().end(),
                                        [](const auto& entry) { return entry.first.starts_with(kMoments[0]); });
  check_kind(file, parameters, with_moments);
  const bool made = parameters.has_moments();
  if (with_moments) parameters.make_moments(backend);
  std::vector<Entry> entries = entries_of(parameters, with_moments);
  // Everything is checked before anything is changed.
  try {
    for (const Entry& entry : entries) check_entry(file, entry);
    check(entries.size() == file.tensors().size(), ErrorCode::kCheckpoint, path, ": expected ", entries.size(),
          " tensors, got ", file.tensors().size(), ": it was saved by another model, or with other parameters trained");
  } catch (...) {
    if (!made) parameters.drop_moments();
    throw;
  }
  for (Entry& entry : entries) {
    const StoredTensor& stored = file.get(entry.name);
    backend.upload(entry.tensor, stored.data);
    file.discard(stored.data, stored.bytes);
  }
  if (!with_moments) parameters.drop_moments();
  parameters.step_count = step;
  parameters.refresh(backend);
}

}  // namespace vlmr1
