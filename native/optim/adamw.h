// AdamW with decoupled weight decay, bias correction, global-norm clipping; a non-finite gradient skips the step.
//
// The moments are f32 or, by the training plan, codes of one byte (backend/moment_code.h): these are read, updated in
// f32 as the others are, and written as the nearest codes. Parameters are f32, with a bf16 copy or without; or bf16
// alone, where an update is computed in f32 and rounded up or down at random, so that it is true on average.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "nn/parameters.h"

namespace vlmr1 {

// By part of the model; an adapter belongs to its layer's. A rate of 0 leaves a part as it is, bit for bit; its moments
// follow the gradient all the same, as torch's do.
struct LearningRates {
  float vision = 1e-6f, merger = 1e-6f, language = 1e-6f;
  LearningRates() = default;
  LearningRates(float all) : vision(all), merger(all), language(all) {}  // NOLINT: one rate for all is a rate of each
  LearningRates(float of_vision, float of_merger, float of_language)
      : vision(of_vision), merger(of_merger), language(of_language) {}
  float of(Part part) const { return part == Part::kVision ? vision : part == Part::kMerger ? merger : language; }
};

struct AdamWOptions {
  LearningRates learning_rate;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;  // only of parameters that decay
  float max_grad_norm = std::numeric_limits<float>::infinity();
  uint64_t seed = 0;  // of stochastic rounding; the random numbers are named by it, the step count and the weight
};

struct StepResult {
  float grad_norm = 0.0f;
  float grad_norm_clipped = 0.0f;  // the same where the step was skipped
  bool skipped = false;
  std::vector<std::string> non_finite;  // gradients; at most ten names
  // Parameters (at most ten) where an update would have made a weight, or one of its moments, infinite or NaN: such
  // weights keep their values and their moments, the others are updated. A weight that was not finite before is one of
  // them.
  std::vector<std::string> non_finite_weights;
};

// Uses and then clears the gradients. Not interruptible: parameters are all updated or none.
StepResult adamw_step(Backend& backend, ParameterStore& parameters, const AdamWOptions& options);

}  // namespace vlmr1
