// AdamW with decoupled weight decay, bias correction, global-norm clipping; a non-finite gradient skips the step.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "nn/parameters.h"

namespace vlmr1 {

class Backend;

struct AdamWOptions {
  float learning_rate = 1e-6f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;  // only for parameters with two or more axes
  float max_grad_norm = std::numeric_limits<float>::infinity();
};

struct StepResult {
  float grad_norm = 0.0f;
  bool skipped = false;
  std::vector<std::string> non_finite;  // at most ten names
};

// Uses and then clears the gradients. Not interruptible: parameters are all updated or none.
StepResult adamw_step(Backend& backend, ParameterStore& parameters, const AdamWOptions& options);

}  // namespace vlmr1
