// The weights of a folder as files: one, or shards with an index.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace vlmr1 {

inline constexpr const char* kSingleFile = "model.safetensors";
inline constexpr const char* kIndexFile = "model.safetensors.index.json";
// What readers elsewhere want to see in a file's metadata.
inline const std::map<std::string, std::string> kWeightMetadata = {{"format", "pt"}};

// model.safetensors, or model-0000i-of-0000n.safetensors with an index where that would be above `max_shard_bytes`.
// Weights of an earlier save into the same folder are removed. Throws ERR_ARGUMENT, ERR_IO.
void write_weight_files(const std::string& directory, std::vector<TensorToWrite> tensors, int64_t max_shard_bytes);

}  // namespace vlmr1
