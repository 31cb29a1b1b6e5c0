// The weights of a Hugging Face folder: one safetensors file, or shards with an index, whatever names they use.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "io/safetensors.h"

namespace vlmr1 {

// A tensor of a file that stays mapped as long as this lives.
struct StoredParameter {
  const StoredTensor* tensor = nullptr;
  std::shared_ptr<const SafetensorsFile> file;
};

// By the name that `rename` makes of the stored one. Throws ERR_IO, ERR_CHECKPOINT, also for two tensors of one name.
class StoredModel {
 public:
  using Rename = std::function<std::string(const std::string&)>;
  static StoredModel open_folder(const std::string& directory, const Rename& rename);
  static StoredModel open_file(const std::string& path, const Rename& rename);

  const std::map<std::string, StoredParameter>& tensors() const { return tensors_; }

 private:
  void add(const std::string& name, const StoredTensor& tensor, const std::shared_ptr<const SafetensorsFile>& file);
  void add_shards(const std::string& directory, const Rename& rename);

  std::map<std::string, StoredParameter> tensors_;
};

// What is wrong with a checkpoint, gathered so that one error can name all of it.
class Problems {
 public:
  void add(const std::string& kind, const std::string& item) { items_[kind].push_back(item); }
  // Notes a tensor of another shape or of a type that is no floating point.
  void check_stored(const std::string& name, const Shape& expected, const StoredTensor& stored);
  // Throws ERR_CHECKPOINT: the headline, then each kind of problem with the names.
  void throw_if_any(const std::string& headline) const;

 private:
  std::map<std::string, std::vector<std::string>> items_;
};

}  // namespace vlmr1
