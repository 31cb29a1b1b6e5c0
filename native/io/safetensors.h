// The safetensors format: mapped reading, atomic writing. Nothing a file holds is trusted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "io/files.h"

namespace vlmr1 {

struct StoredTensor {
  std::string dtype;  // "F32", "BF16", "F16", "I32", "I64", "U8", …
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;  // inside the mapping
  size_t bytes = 0;
  int64_t numel() const;
};

class SafetensorsFile {
 public:
  // Maps the file and checks header, names, shapes, offsets and sizes. Throws ERR_IO, ERR_CHECKPOINT.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Lets go of a tensor's pages; they come back from the file when they are read again.
  void discard(const void* data, size_t bytes) const { mapping_.discard(data, bytes); }
  // Throws ERR_IO where somebody has written to the file since it was opened.
  void check_unchanged() const { mapping_.check_unchanged(); }
  // Throws ERR_CHECKPOINT for an unknown name.
  const StoredTensor& get(const std::string& name) const;

 private:
  std::string path_;
  MappedFile mapping_;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// F32, BF16, F16, F64 to f32; I32, I64, U8 to i32 (`read_i32`). `out` has room for numel(). Throws ERR_DTYPE, and
// ERR_CHECKPOINT for an I64 that an i32 cannot hold.
void read_f32(const StoredTensor& tensor, float* out);
void read_i32(const StoredTensor& tensor, int32_t* out);

struct TensorToWrite {
  std::string name;
  std::string dtype;  // "F32", "BF16", "F16" (converted from f32, round to nearest even), "I32" or "U8"
  std::vector<int64_t> shape;
  const void* data = nullptr;  // f32, i32 or bytes, host memory
  // Instead of `data`: called when the tensor's turn comes, the memory is used until the next call. So a file can be
  // larger than the host memory that is free.
  std::function<const void*()> fetch = nullptr;
  bool converted = false;  // `data` is of the file's type already
};

// Written to a temporary name in the same folder, flushed to disk, renamed. Throws ERR_IO, ERR_ARGUMENT.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace vlmr1
