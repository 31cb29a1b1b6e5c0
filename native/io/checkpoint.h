// Parameters to and from safetensors. Files are written beside their final name and renamed.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "nn/parameters.h"

namespace vlmr1 {

class Backend;

enum class SaveDType { kF32, kBF16, kF16 };

const char* stored_name(SaveDType dtype);  // in safetensors

// Published names that a checkpoint may hold besides the parameters.
struct ExtraTensors {
  std::function<bool(const std::string&)> ignorable;
  // A tied tensor → the parameter whose values it must repeat.
  std::map<std::string, std::string> tied;
};

// Fills a store from `directory` (model.safetensors, or shards with an index; published names or transformers 5's), and
// its adapters from their file or at random. Missing, extra or misshapen tensors: one ERR_CHECKPOINT that lists them;
// likewise those with infinite numbers or NaN among what is copied: all that trains or is writable, and adapters.
// Files of frozen matrices stay mapped and are not looked through.
void load_parameters(Backend& backend, ParameterStore& parameters, const std::string& directory,
                     const ExtraTensors& extra);

// As if loaded from files that store them as `stored`, for dry runs: frozen matrices take address space in place of a
// mapped file.
void reserve_parameters(Backend& backend, ParameterStore& parameters, DType stored);

// The model's own parameters; `merge_adapters` adds the adapters in.
void save_parameters(Backend& backend, const ParameterStore& parameters, const std::string& directory, SaveDType dtype,
                     int64_t max_shard_bytes, bool merge_adapters = false);
// adapter_model.safetensors in PEFT's format.
void save_adapter(Backend& backend, const ParameterStore& parameters, const std::string& file, SaveDType dtype);
void save_gradients(Backend& backend, const ParameterStore& parameters, const std::string& file);
// What trains, both moments and the step count, or all weights of a writable store; exact, each in the type that it is
// held in. Frozen parameters are the checkpoint's. A state fits a store of the same parameters and plan; for any other
// load_state throws ERR_CHECKPOINT before it changes anything.
void save_state(Backend& backend, const ParameterStore& parameters, const std::string& file);
void load_state(Backend& backend, ParameterStore& parameters, const std::string& file);

}  // namespace vlmr1
