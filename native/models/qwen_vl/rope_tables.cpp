#include "models/qwen_vl/rope_tables.h"

#include <cmath>

namespace vlmr1::qwen_vl {

std::vector<float> inverse_frequencies(double theta, int64_t d) {
  std::vector<float> out(d / 2);
  for (int64_t i = 0; i < d / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(d);
    out[i] = 1.0f / std::pow(static_cast<float>(theta), exponent);
  }
  return out;
}

ops::RopeTable upload_angles(Backend& backend, const std::vector<float>& angles, int64_t half) {
  std::vector<float> cos(angles.size());
  std::vector<float> sin(angles.size());
  for (size_t i = 0; i < angles.size(); ++i) {
    cos[i] = std::cos(angles[i]);
    sin[i] = std::sin(angles[i]);
  }
  const int64_t rows = static_cast<int64_t>(angles.size()) / half;
  ops::RopeTable table{backend.empty({rows, half}), backend.empty({rows, half})};
  backend.upload(table.cos, cos.data());
  backend.upload(table.sin, sin.data());
  return table;
}

}  // namespace vlmr1::qwen_vl
