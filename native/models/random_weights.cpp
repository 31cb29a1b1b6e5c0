#include "models/random_weights.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "core/cores.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "io/json.h"
#include "io/weight_files.h"
#include "models/model.h"

namespace vlmr1 {

namespace {

constexpr int64_t kGrain = 1 << 16;

void fill(ThreadPool& pool, const ParameterSpec& spec, uint64_t seed, uint64_t index, double range,
          std::vector<float>& out) {
  out.resize(static_cast<size_t>(spec.shape.numel()));
  if (spec.shape.rank() < 2) {
    std::fill(out.begin(), out.end(), spec.name.ends_with(".bias") ? 0.0f : 1.0f);
    return;
  }
  const int64_t count = spec.shape.numel();
  pool.run((count + kGrain - 1) / kGrain, [&](int64_t task, int) {
    for (int64_t i = task * kGrain; i < std::min(count, (task + 1) * kGrain); ++i)
      out[i] = static_cast<float>(random_normal(seed, index, static_cast<uint64_t>(i)) * range);
  });
}

// Beside the sizes, as transformers 4 has it, or in text_config (5).
double initializer_range(const Json& config) {
  const Json* text = config.find("text_config");
  const double beside = text && text->is_object() ? text->double_or("initializer_range", 0.02) : 0.02;
  const double range = config.double_or("initializer_range", beside);
  check(std::isfinite(range) && range >= 0, ErrorCode::kConfig,
        "config.json: initializer_range: expected a value of 0 or more, got ", range);
  return range;
}

}  // namespace

int64_t write_random_weights(const std::string& config_json, const std::string& directory, const RandomWeights& options,
                             const StopFlag& stop) {
  const Json config = Json::parse(config_json, "config.json");
  const ModelDescription description = describe_model(config);
  const double range = initializer_range(config);
  ThreadPool pool(options.threads > 0 ? options.threads : physical_cores());
  pool.set_stop(stop);
  const auto buffer = std::make_shared<std::vector<float>>();
  std::vector<TensorToWrite> tensors;
  for (const ParameterSpec& spec : description.parameters) {
    TensorToWrite tensor;
    tensor.name = spec.name;
    tensor.dtype = stored_name(options.dtype);
    tensor.shape = spec.shape.axes();
    tensor.fetch = [&pool, &spec, buffer, range, seed = options.seed, index = tensors.size()] {
      fill(pool, spec, seed, index, range, *buffer);
      return static_cast<const void*>(buffer->data());
    };
    tensors.push_back(std::move(tensor));
  }
  write_weight_files(directory, std::move(tensors), options.max_shard_bytes);
  return description.info.parameters;
}

}  // namespace vlmr1
