// AdamW with moments of one byte, one number after the other: what the kernels are compared with, bit by bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "backend/backend.h"
#include "core/dtype.h"
#include "core/random.h"

namespace vlmr1::testing {

// The magnitudes of a code by the formula, in double: 0, decades of equal parts, 1.
inline std::vector<float> plain_levels(bool has_sign) {
  std::vector<float> levels{0.0f};
  for (int e = 0; e <= 6; ++e) {
    const int parts = has_sign ? 1 << e : 2 << e;
    for (int i = 0; i < parts; ++i) {
      const double low = 0.1 + 0.9 * i / parts, high = 0.1 + 0.9 * (i + 1) / parts;
      levels.push_back(static_cast<float>(std::pow(10.0, e - 6) * (low + high) / 2));
    }
  }
  levels.push_back(1.0f);
  return levels;
}

// One block's moment as a byte and a scale, by looking through all levels.
struct PlainMoment {
  explicit PlainMoment(bool of_first, size_t n) : has_sign(of_first), levels(plain_levels(of_first)), bytes(n) {}

  float decoded(size_t i, float scale) const {
    const int k = has_sign ? bytes[i] - 127 : bytes[i];
    return (k < 0 ? -levels[static_cast<size_t>(-k)] : levels[static_cast<size_t>(k)]) * scale;
  }
  void encode(const std::vector<float>& x, size_t begin, size_t end, float& scale) {
    scale = 0.0f;
    for (size_t i = begin; i < end; ++i) scale = std::max(scale, std::fabs(x[i]));
    for (size_t i = begin; i < end; ++i) {
      const float size = std::fabs(x[i] / (scale > 0 ? scale : 1.0f));
      size_t k = 0;
      while (k + 1 < levels.size() && size > (levels[k] + levels[k + 1]) * 0.5f) ++k;
      if (!has_sign && k == 0 && size > 0.0f) k = 1;
      if (has_sign && x[i] < 0) k = std::min<size_t>(k, 127);
      bytes[i] = static_cast<uint8_t>(!has_sign ? k : x[i] < 0 ? 127 - k : 127 + k);
    }
  }
  bool has_sign;
  std::vector<float> levels;
  std::vector<uint8_t> bytes;
};

// The algorithm one number after the other, in the rounding of processors that fuse or do not.
struct PlainAdamW {
  PlainAdamW(const std::vector<float>& start, bool is_fused, bool of_halves)
      : x(start), m(true, start.size()), v(false, start.size()), fused(is_fused), rounds_at_random(of_halves) {
    m_scales.resize((start.size() + 255) / 256);
    v_scales.resize(m_scales.size());
  }
  float fma(float a, float b, float c) const { return fused ? std::fmaf(a, b, c) : a * b + c; }
  void step(const AdamWStep& s, const std::vector<float>& grad, uint64_t first) {
    std::vector<float> m1(x.size()), v1(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const float g = grad[i] * s.grad_scale;
      const float m0 = m.decoded(i, m_scales[i / 256]), v0 = v.decoded(i, v_scales[i / 256]);
      m1[i] = fma(1.0f - s.beta1, g - m0, m0);
      v1[i] = fma((1.0f - s.beta2) * g, g, s.beta2 * v0);
      const float denominator = std::sqrt(v1[i]) / std::sqrt(s.bias_correction2) + s.epsilon;
      const float kept = x[i] * (1.0f - s.learning_rate * s.weight_decay);
      x[i] = fma(-s.learning_rate / s.bias_correction1, m1[i] / denominator, kept);
      if (!rounds_at_random) continue;
      const uint64_t at = first + i;
      const uint64_t random = random_bits(s.seed, s.update, at / 4, 0) >> (16 * (at % 4)) & 0xffff;
      uint32_t bits;
      std::memcpy(&bits, &x[i], 4);
      x[i] = bf16_to_f32(static_cast<uint16_t>((bits + random) >> 16));
    }
    for (size_t b = 0; b < m_scales.size(); ++b) {
      const size_t end = std::min(x.size(), (b + 1) * 256);
      m.encode(m1, b * 256, end, m_scales[b]);
      v.encode(v1, b * 256, end, v_scales[b]);
    }
  }
  std::vector<float> x, m_scales, v_scales;
  PlainMoment m, v;
  bool fused, rounds_at_random;
};

}  // namespace vlmr1::testing
