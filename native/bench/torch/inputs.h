// Numbers that other programs can make too, bit for bit: scripts/bench/torch/worker.py has the same few lines.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace vlmr1::bench {

// Uniform in [−0.5, 0.5), of 24 bits.
inline float uniform(uint32_t seed, uint32_t index) {
  uint32_t x = index * 2654435761u + seed * 40503u;
  for (int round = 0; round < 2; ++round) {
    x ^= x >> 16;
    x *= 0x45d9f3bu;
  }
  x ^= x >> 16;
  return static_cast<float>(x >> 8) * 0x1p-24f - 0.5f;
}

// offset + scale · uniform; exact where scale is a power of two.
inline std::vector<float> random_values(uint32_t seed, int64_t count, float scale, float offset = 0.0f) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[i] = offset + scale * uniform(seed, static_cast<uint32_t>(i));
  return values;
}

inline Tensor random_tensor(Backend& backend, uint32_t seed, const Shape& shape, float scale, float offset = 0.0f) {
  Tensor x = backend.empty(shape);
  backend.upload(x, random_values(seed, shape.numel(), scale, offset).data());
  return x;
}

}  // namespace vlmr1::bench
