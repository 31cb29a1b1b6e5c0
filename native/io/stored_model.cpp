#include "io/stored_model.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/error.h"
#include "io/files.h"
#include "io/json.h"
#include "io/weight_files.h"

namespace vlmr1 {

namespace {

constexpr size_t kListed = 32;  // names per problem in an error

std::string axes_text(const std::vector<int64_t>& axes) {
  std::string text = "[";
  for (size_t i = 0; i < axes.size(); ++i) text += (i ? ", " : "") + std::to_string(axes[i]);
  return text + "]";
}

bool is_float(const std::string& dtype) {
  return dtype == "F32" || dtype == "BF16" || dtype == "F16" || dtype == "F64";
}

// A name from the index is joined to the folder's path: it must not lead out of it.
void check_shard_name(const std::string& where, const std::string& name) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  check(plain, ErrorCode::kCheckpoint, where, ": expected plain file names in weight_map, got \"", name, "\"");
}

std::map<std::string, std::shared_ptr<const SafetensorsFile>> open_shards(const std::string& directory,
                                                                          const std::set<std::string>& names) {
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> open;
  std::string gone;
  for (const std::string& name : names) {
    const std::string path = join_path(directory, name);
    if (file_exists(path)) open[name] = std::make_shared<const SafetensorsFile>(path);
    else gone += (gone.empty() ? "" : ", ") + name;
  }
  check(gone.empty(), ErrorCode::kIo, join_path(directory, kIndexFile), ": expected ", names.size(),
        " files of weights beside it, ", names.size() - open.size(), " are not there: ", gone);
  return open;
}

// Tensor name → name of its shard.
std::map<std::string, std::string> read_index(const std::string& path) {
  try {
    const Json index = Json::parse(read_text_file(path), path);
    std::map<std::string, std::string> shards;
    for (const auto& [name, shard] : index.at("weight_map").as_object()) {
      shards[name] = shard.as_string();
      check_shard_name(path, shards[name]);
    }
    return shards;
  } catch (const Error& error) {
    // The JSON reader speaks of configuration; here it is the checkpoint that is wrong.
    if (error.code() != ErrorCode::kConfig) throw;
    throw Error(ErrorCode::kCheckpoint, error.what());
  }
}

}  // namespace

void StoredModel::add(const std::string& name, const StoredTensor& tensor,
                      const std::shared_ptr<const SafetensorsFile>& file) {
  const bool fresh = tensors_.emplace(name, StoredParameter{&tensor, file}).second;
  check(fresh, ErrorCode::kCheckpoint, file->path(), ": ", name, " is there under two names");
}

void StoredModel::add_shards(const std::string& directory, const Rename& rename) {
  const std::string index_path = join_path(directory, kIndexFile);
  const auto shards = read_index(index_path);
  std::set<std::string> names;
  for (const auto& [name, shard] : shards) names.insert(shard);
  const auto open = open_shards(directory, names);
  Problems problems;
  for (const auto& [name, shard] : shards) {
    const auto& file = open.at(shard);
    const auto found = file->tensors().find(name);
    if (found == file->tensors().end())
      problems.add("that the file named for it does not hold", name + " (" + shard + ")");
    else add(rename(name), found->second, file);
  }
  problems.throw_if_any(index_path + " does not fit the files beside it");
}

StoredModel StoredModel::open_file(const std::string& path, const Rename& rename) {
  StoredModel model;
  const auto file = std::make_shared<const SafetensorsFile>(path);
  for (const auto& [name, tensor] : file->tensors()) model.add(rename(name), tensor, file);
  return model;
}

StoredModel StoredModel::open_folder(const std::string& directory, const Rename& rename) {
  const std::string single = join_path(directory, kSingleFile);
  if (file_exists(single)) return open_file(single, rename);
  check(file_exists(join_path(directory, kIndexFile)), ErrorCode::kIo, "no weights in ", directory, ": expected ",
        kSingleFile, " or ", kIndexFile);
  StoredModel model;
  model.add_shards(directory, rename);
  return model;
}

void Problems::check_stored(const std::string& name, const Shape& shape, const StoredTensor& stored) {
  const std::vector<int64_t> expected = shape.axes();
  if (stored.shape != expected)
    add("of another shape", name + " (expected " + axes_text(expected) + ", got " + axes_text(stored.shape) + ")");
  if (!is_float(stored.dtype)) add("of a dtype that is no floating point", name + " (" + stored.dtype + ")");
}

void Problems::throw_if_any(const std::string& headline) const {
  if (items_.empty()) return;
  std::string text = headline + ":";
  for (const auto& [kind, list] : items_) {
    text += "\n  " + std::to_string(list.size()) + " " + kind + ": ";
    for (size_t i = 0; i < std::min(list.size(), kListed); ++i) text += (i ? ", " : "") + list[i];
    if (list.size() > kListed) text += " and " + std::to_string(list.size() - kListed) + " more";
  }
  fail(ErrorCode::kCheckpoint, text);
}

}  // namespace vlmr1
