// One model's weights towards another's: how a reference follows the policy.
#pragma once

#include "nn/parameters.h"

namespace vlmr1 {

// Every weight of `to` = alpha · that of `from` + (1 − alpha) · its own, in f32, of the most exact form that `from`
// has, rounded to nearest where `to` holds bf16. With alpha 1 it is a copy; with 0 nothing is written. Not
// interruptible. Throws ERR_ARGUMENT where `to` is not writable, `from` is `to` or has an adapter, or alpha is outside
// [0, 1]; ERR_SHAPE for models of other parameters.
void blend_parameters(Backend& backend, const ParameterStore& from, double alpha, ParameterStore& to);

}  // namespace vlmr1
