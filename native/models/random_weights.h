// A new model's weights.
#pragma once

#include <cstdint>
#include <string>

#include "core/stop.h"
#include "io/checkpoint.h"

namespace vlmr1 {

struct RandomWeights {
  uint64_t seed = 0;
  SaveDType dtype = SaveDType::kF32;
  int64_t max_shard_bytes = int64_t{5'000'000'000};
  int threads = 0;  // 0: one per core
};

// Writes weights for a config.json text into a folder: normal(0, initializer_range) for matrices, 1 for norm weights,
// 0 for biases. One tensor is in memory at a time. Returns the number of parameters.
int64_t write_random_weights(const std::string& config_json, const std::string& directory, const RandomWeights& options,
                             const StopFlag& stop);

}  // namespace vlmr1
