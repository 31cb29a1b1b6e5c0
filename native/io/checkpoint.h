// Parameters to and from safetensors. Files are written beside their final name and renamed.
#pragma once

#include <functional>
#include <string>

#include "nn/parameters.h"

namespace vlmr1 {

class Backend;

enum class SaveDType { kF32, kBF16, kF16 };

// Fills every parameter of the store from `directory` (model.safetensors, or shards with an index). `checkpoint_name`
// maps a parameter's name to the tensor's name in the file. Missing, extra (unless `ignorable(name)`) or misshapen
// tensors: one ERR_CHECKPOINT that lists them.
void load_parameters(Backend& backend, ParameterStore& parameters, const std::string& directory,
                     const std::function<bool(const std::string&)>& ignorable);

// model.safetensors, or model-0000i-of-0000n.safetensors with model.safetensors.index.json above `max_shard_bytes`.
void save_parameters(Backend& backend, const ParameterStore& parameters, const std::string& directory, SaveDType dtype,
                     int64_t max_shard_bytes);
void save_gradients(Backend& backend, const ParameterStore& parameters, const std::string& file);
// Parameters, both moments and the step count; exact.
void save_state(Backend& backend, ParameterStore& parameters, const std::string& file);
void load_state(Backend& backend, ParameterStore& parameters, const std::string& file);

}  // namespace vlmr1
