#include "io/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace vlmr1 {

namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr size_t kListed = 8;  // names per problem in an error

std::string axes_text(const std::vector<int64_t>& axes) {
  std::string text = "[";
  for (size_t i = 0; i < axes.size(); ++i) text += (i ? ", " : "") + std::to_string(axes[i]);
  return text + "]";
}

std::vector<int64_t> axes_of(const Shape& shape) {
  std::vector<int64_t> axes;
  for (int i = 0; i < shape.rank(); ++i) axes.push_back(shape[i]);
  return axes;
}

// What is wrong with a checkpoint, gathered so that one error can name all of it.
class Problems {
 public:
  void add(const std::string& kind, const std::string& item) { items_[kind].push_back(item); }
  void throw_if_any(const std::string& where) const {
    if (items_.empty()) return;
    std::string text = where + " does not fit the model:";
    for (const auto& [kind, list] : items_) {
      text += "\n  " + std::to_string(list.size()) + " " + kind + ": ";
      for (size_t i = 0; i < std::min(list.size(), kListed); ++i) text += (i ? ", " : "") + list[i];
      if (list.size() > kListed) text += ", …";
    }
    fail(ErrorCode::kCheckpoint, text);
  }

 private:
  std::map<std::string, std::vector<std::string>> items_;
};

// The tensors of a model folder, in one file or several.
struct StoredModel {
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  std::map<std::string, const StoredTensor*> tensors;
};

// A name from the index is joined to the folder's path: it must not lead out of it.
void check_shard_name(const std::string& where, const std::string& name) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  check(plain, ErrorCode::kCheckpoint, where, ": expected plain file names in weight_map, got \"", name, "\"");
}

StoredModel open_shards(const std::string& directory) {
  const std::string index_path = join_path(directory, kIndexFile);
  StoredModel model;
  std::map<std::string, const SafetensorsFile*> open;
  try {
    const Json index = Json::parse(read_text_file(index_path), index_path);
    for (const auto& [name, shard] : index.at("weight_map").as_object()) {
      const std::string& shard_name = shard.as_string();
      check_shard_name(index_path, shard_name);
      const SafetensorsFile*& file = open[shard_name];
      if (file == nullptr) {
        model.files.push_back(std::make_unique<SafetensorsFile>(join_path(directory, shard_name)));
        file = model.files.back().get();
      }
      model.tensors[name] = &file->get(name);
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kConfig) throw;
    throw Error(ErrorCode::kCheckpoint, error.what());
  }
  return model;
}

StoredModel open_model(const std::string& directory) {
  const std::string single = join_path(directory, kSingleFile);
  if (file_exists(single)) {
    StoredModel model;
    model.files.push_back(std::make_unique<SafetensorsFile>(single));
    for (const auto& [name, tensor] : model.files[0]->tensors()) model.tensors[name] = &tensor;
    return model;
  }
  check(file_exists(join_path(directory, kIndexFile)), ErrorCode::kIo, "no weights in ", directory, ": expected ",
        kSingleFile, " or ", kIndexFile);
  return open_shards(directory);
}

bool readable_as_f32(const StoredTensor& tensor) {
  return tensor.dtype == "F32" || tensor.dtype == "BF16" || tensor.dtype == "F16" || tensor.dtype == "F64";
}

void check_stored(const Parameter& parameter, const StoredTensor& stored, Problems& problems) {
  const std::vector<int64_t> expected = axes_of(parameter.value.shape());
  if (stored.shape != expected)
    problems.add("of another shape",
                 parameter.name + " (expected " + axes_text(expected) + ", got " + axes_text(stored.shape) + ")");
  if (!readable_as_f32(stored))
    problems.add("of a dtype that is no floating point", parameter.name + " (" + stored.dtype + ")");
}

const char* stored_name(SaveDType dtype) {
  switch (dtype) {
    case SaveDType::kF32: return "F32";
    case SaveDType::kBF16: return "BF16";
    case SaveDType::kF16: return "F16";
  }
  return "?";
}

// `buffer` is shared by all tensors of a file, so that one is on the host at a time.
TensorToWrite to_write(Backend& backend, const std::string& name, const char* dtype, const Tensor& value,
                       const std::shared_ptr<std::vector<float>>& buffer) {
  TensorToWrite tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = axes_of(value.shape());
  tensor.fetch = [&backend, value, buffer] {
    buffer->resize(static_cast<size_t>(value.numel()));
    backend.download(value, buffer->data());
    return static_cast<const void*>(buffer->data());
  };
  return tensor;
}

int64_t bytes_of(const TensorToWrite& tensor) {
  const int64_t element = tensor.dtype == "F32" ? 4 : 2;
  return std::accumulate(tensor.shape.begin(), tensor.shape.end(), element, std::multiplies<>());
}

using Shard = std::vector<TensorToWrite>;

std::vector<Shard> cut_into_shards(std::vector<TensorToWrite> tensors, int64_t max_bytes) {
  std::vector<Shard> shards(1);
  int64_t bytes = 0;
  for (TensorToWrite& tensor : tensors) {
    const int64_t more = bytes_of(tensor);
    if (!shards.back().empty() && more > max_bytes - bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += more;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

std::string shard_name(size_t number, size_t count) {
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

// A tensor name is UTF-8 that came from a checked header or the model's own table; quotes still need care.
std::string json_quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string index_text(const std::vector<Shard>& shards) {
  int64_t total = 0;
  std::map<std::string, std::string> weight_map;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const TensorToWrite& tensor : shards[i]) {
      total += bytes_of(tensor);
      weight_map[tensor.name] = shard_name(i + 1, shards.size());
    }
  }
  std::string text =
      "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total) + "\n  },\n  \"weight_map\": {";
  bool first = true;
  for (const auto& [name, shard] : weight_map) {
    text += std::string(first ? "\n" : ",\n") + "    " + json_quoted(name) + ": \"" + shard + "\"";
    first = false;
  }
  return text + "\n  }\n}\n";
}

bool is_weight_file(const std::string& name) {
  return name == kSingleFile || name == kIndexFile ||
         (name.starts_with("model-") && name.find("-of-") != std::string::npos && name.ends_with(".safetensors"));
}

// Weights of an earlier save into the same folder: some readers take every safetensors file they find.
void remove_stale(const std::string& directory, const std::set<std::string>& written) {
  std::error_code error;
  std::vector<std::filesystem::path> stale;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (is_weight_file(name) && written.count(name) == 0) stale.push_back(entry.path());
  }
  for (const auto& path : stale) {
    std::filesystem::remove(path, error);
    check(!error, ErrorCode::kIo, "cannot remove the old weights ", path.string(), ": ", error.message());
  }
}

const std::map<std::string, std::string> kMetadata = {{"format", "pt"}};

}  // namespace

void load_parameters(Backend& backend, ParameterStore& parameters, const std::string& directory,
                     const std::function<bool(const std::string&)>& ignorable) {
  const StoredModel model = open_model(directory);
  Problems problems;
  for (const auto& [name, tensor] : model.tensors)
    if (!parameters.has(name) && !(ignorable && ignorable(name))) problems.add("that the model has no place for", name);
  for (const Parameter& parameter : parameters.all()) {
    const auto found = model.tensors.find(parameter.name);
    if (found == model.tensors.end()) problems.add("missing", parameter.name);
    else check_stored(parameter, *found->second, problems);
  }
  problems.throw_if_any("the checkpoint in " + directory);
  std::vector<float> buffer;
  for (Parameter& parameter : parameters.all()) {
    const StoredTensor& stored = *model.tensors.at(parameter.name);
    buffer.resize(static_cast<size_t>(stored.numel()));
    read_f32(stored, buffer.data());
    backend.upload(parameter.value, buffer.data());
  }
  parameters.touch();
}

void save_parameters(Backend& backend, const ParameterStore& parameters, const std::string& directory, SaveDType dtype,
                     int64_t max_shard_bytes) {
  check(max_shard_bytes > 0, ErrorCode::kArgument, "save: expected max_shard_bytes > 0, got ", max_shard_bytes);
  make_directories(directory);
  const auto buffer = std::make_shared<std::vector<float>>();
  std::vector<TensorToWrite> tensors;
  for (const Parameter& parameter : parameters.all())
    tensors.push_back(to_write(backend, parameter.name, stored_name(dtype), parameter.value, buffer));
  const std::vector<Shard> shards = cut_into_shards(std::move(tensors), max_shard_bytes);
  std::set<std::string> written;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shards.size() == 1 ? kSingleFile : shard_name(i + 1, shards.size());
    write_safetensors(join_path(directory, name), shards[i], kMetadata);
    written.insert(name);
  }
  if (shards.size() > 1) {
    write_text_file(join_path(directory, kIndexFile), index_text(shards));
    written.insert(kIndexFile);
  }
  remove_stale(directory, written);
}

void save_gradients(Backend& backend, const ParameterStore& parameters, const std::string& file) {
  const auto buffer = std::make_shared<std::vector<float>>();
  std::vector<TensorToWrite> tensors;
  for (const Parameter& parameter : parameters.all())
    if (parameter.grad) tensors.push_back(to_write(backend, parameter.name, "F32", parameter.grad, buffer));
  check(!tensors.empty(), ErrorCode::kState, "save: the model was loaded without training, it has no gradients");
  write_safetensors(file, tensors, kMetadata);
}

}  // namespace vlmr1
