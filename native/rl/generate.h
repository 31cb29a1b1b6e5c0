// Rollout: each prompt is encoded once, its n completions grow as children of it. Where not all may be under way at
// once, the next ones join as soon as others have ended (continuous batching).
#pragma once

#include <functional>
#include <vector>

#include "core/stop.h"
#include "models/model.h"
#include "rl/decode_batch.h"
#include "rl/sampling_options.h"

namespace vlmr1 {

struct DrawnToken {
  int64_t completion = 0;  // prompt · n + its index
  int32_t token = 0;
};

struct GenerateProgress {
  int64_t tokens = 0;
  int64_t finished = 0;
  int64_t total = 0;
  std::vector<DrawnToken> news;  // of this step
};

struct GenerateOptions {
  int32_t n = 1;
  SamplingOptions sampling;
  uint64_t seed = 0;
  uint64_t first_row = 0;
  AdapterMode::Use adapter = AdapterMode::Use::kOn;
  int32_t max_rows = 0;  // completions that are under way at once; 0: all
};

// Result [prompt][n]. Random numbers are a function of (seed, first_row + prompt, completion, position) alone: with the
// same seed a completion has the same bits whatever else is under way.
std::vector<std::vector<Completion>> generate(Model& model, const std::vector<Prompt>& prompts,
                                              const GenerateOptions& options, const StopFlag& stop,
                                              const std::function<void(const GenerateProgress&)>& progress);

}  // namespace vlmr1
