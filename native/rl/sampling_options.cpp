#include "rl/sampling_options.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace vlmr1 {

void SamplingOptions::validate(int64_t vocab_size) const {
  const auto need = [](bool ok, const char* field, const char* expected, double got) {
    check(ok, ErrorCode::kArgument, field, ": expected ", expected, ", got ", got);
  };
  // Logits divided by less would leave the range of f32.
  need(temperature == 0 || (std::isfinite(temperature) && temperature >= 1e-4f), "temperature",
       "0 (greedy) or at least 1e-4", temperature);
  need(top_k >= 0, "top_k", "0 (off) or more", top_k);
  need(top_p > 0 && top_p <= 1, "top_p", "a value in (0, 1]", top_p);
  need(min_p >= 0 && min_p <= 1, "min_p", "a value in [0, 1]", min_p);
  need(std::isfinite(repetition_penalty) && repetition_penalty > 0, "repetition_penalty", "a value above 0",
       repetition_penalty);
  need(max_new_tokens > 0, "max_new_tokens", "1 or more", max_new_tokens);
  for (int32_t token : stop_tokens)
    need(token >= 0 && token < vocab_size, "stop_tokens", "token ids of the vocabulary", token);
}

bool SamplingOptions::stops_at(int32_t token) const {
  return std::find(stop_tokens.begin(), stop_tokens.end(), token) != stop_tokens.end();
}

}  // namespace vlmr1
