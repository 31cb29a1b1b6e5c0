#include <vector>

#include "bench/cases.h"

namespace vlmr1::bench {

Tensor random_tensor(Backend& backend, const Shape& shape, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  uint32_t state = static_cast<uint32_t>(seed) * 2654435761u + 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  Tensor x = backend.empty(shape);
  backend.upload(x, values.data());
  return x;
}

Tensor random_weight(Backend& backend, const Shape& shape, uint64_t seed, bool bf16) {
  Tensor w = random_tensor(backend, shape, seed);
  if (bf16) {
    // As the rounded copies of a trained model are.
    Tensor rounded = backend.empty(shape, DType::kBF16);
    backend.convert(w, rounded);
    w = rounded;
    w.storage()->products = {DType::kBF16, DType::kBF16};
  }
  w.storage()->persistent = true;
  return w;
}

}  // namespace vlmr1::bench
