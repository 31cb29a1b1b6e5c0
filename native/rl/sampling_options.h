// How the tokens of a completion are drawn.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace vlmr1 {

struct SamplingOptions : SampleOptions {
  int32_t max_new_tokens = 256;
  std::vector<int32_t> stop_tokens;
  // Throws ERR_ARGUMENT with the field's name.
  void validate(int64_t vocab_size) const;
  bool stops_at(int32_t token) const;
  bool penalizes() const { return repetition_penalty != 1.0f; }
  // Of the plain policy, whose log-probabilities are reported.
  float plain_temperature() const { return temperature > 0 ? temperature : 1.0f; }
};

}  // namespace vlmr1
