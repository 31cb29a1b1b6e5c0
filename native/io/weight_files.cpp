#include "io/weight_files.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <numeric>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "io/files.h"
#include "io/json.h"

namespace vlmr1 {

namespace {

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

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "model-00001-of-00002.safetensors", and no file of somebody's own.
bool is_shard(std::string_view name) {
  constexpr std::string_view start = "model-", between = "-of-", end = ".safetensors";
  const size_t cut = name.find(between);
  if (!name.starts_with(start) || !name.ends_with(end) || cut == std::string_view::npos) return false;
  const size_t second = cut + between.size();
  return cut >= start.size() && second + end.size() <= name.size() &&
         is_number(name.substr(start.size(), cut - start.size())) &&
         is_number(name.substr(second, name.size() - end.size() - second));
}

bool is_weight_file(const std::string& name) { return name == kSingleFile || name == kIndexFile || is_shard(name); }

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

}  // namespace

void write_weight_files(const std::string& directory, std::vector<TensorToWrite> tensors, int64_t max_shard_bytes) {
  check(max_shard_bytes > 0, ErrorCode::kArgument, "save: expected max_shard_bytes > 0, got ", max_shard_bytes);
  make_directories(directory);
  const std::vector<Shard> shards = cut_into_shards(std::move(tensors), max_shard_bytes);
  std::set<std::string> written;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shards.size() == 1 ? kSingleFile : shard_name(i + 1, shards.size());
    write_safetensors(join_path(directory, name), shards[i], kWeightMetadata);
    written.insert(name);
  }
  if (shards.size() > 1) {
    write_text_file(join_path(directory, kIndexFile), index_text(shards));
    written.insert(kIndexFile);
  }
  remove_stale(directory, written);
}

}  // namespace vlmr1
