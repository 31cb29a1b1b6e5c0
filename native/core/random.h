// Counter-based random numbers: a value is a function of its coordinates, so it does not depend on what else is drawn.
#pragma once

#include <cmath>
#include <cstdint>

namespace vlmr1 {

// SplitMix64's finaliser: a bijection of 64 bits with full avalanche.
[[gnu::always_inline]] inline uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

inline uint64_t random_bits(uint64_t seed, uint64_t a, uint64_t b, uint64_t c) {
  return mix64(mix64(mix64(mix64(seed) ^ a) ^ b) ^ c);
}

// In [0, 1), 53 bits.
inline double random_uniform(uint64_t seed, uint64_t a, uint64_t b, uint64_t c) {
  return static_cast<double>(random_bits(seed, a, b, c) >> 11) * 0x1.0p-53;
}

// Standard normal (Box–Muller).
inline double random_normal(uint64_t seed, uint64_t a, uint64_t b) {
  const double u = 1.0 - random_uniform(seed, a, b, 0);  // (0, 1]
  const double v = random_uniform(seed, a, b, 1);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
}

}  // namespace vlmr1
