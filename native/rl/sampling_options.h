// How the tokens of a completion are drawn.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace vlmr1 {

struct SamplingOptions {
  float temperature = 1.0f;         // 0: greedy
  int32_t top_k = 0;                // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float repetition_penalty = 1.0f;  // 1: off
  int32_t max_new_tokens = 256;
  std::vector<int32_t> stop_tokens;
  // Throws ERR_ARGUMENT with the field's name.
  void validate(int64_t vocab_size) const;
  bool stops_at(int32_t token) const;
  bool penalizes() const { return repetition_penalty != 1.0f; }
  // Of the plain policy, whose log-probabilities are reported.
  float plain_temperature() const { return temperature > 0 ? temperature : 1.0f; }
};

// The same for the back end, and what it never draws.
struct RowSampling {
  RowSampling(SamplingOptions wanted, std::vector<int32_t> banned);
  SamplingOptions options;
  SampleOptions filters;
};

}  // namespace vlmr1
