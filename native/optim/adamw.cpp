#include "optim/adamw.h"

#include <algorithm>
#include <cmath>

#include "backend/backend.h"
#include "core/trace.h"

namespace vlmr1 {

namespace {

constexpr size_t kMostNames = 10;

void note(std::vector<std::string>& names, const std::string& name) {
  if (names.size() < kMostNames) names.push_back(name);
}

void check_options(const AdamWOptions& o) {
  const auto need = [](bool ok, const char* field, const char* expected, double got) {
    check(ok, ErrorCode::kArgument, field, ": expected ", expected, ", got ", got);
  };
  for (const float rate : {o.learning_rate.vision, o.learning_rate.merger, o.learning_rate.language})
    need(std::isfinite(rate) && rate >= 0, "learning_rate", "0 or more", rate);
  need(o.beta1 >= 0 && o.beta1 < 1, "beta1", "a value in [0, 1)", o.beta1);
  need(o.beta2 >= 0 && o.beta2 < 1, "beta2", "a value in [0, 1)", o.beta2);
  need(std::isfinite(o.epsilon) && o.epsilon > 0, "epsilon", "a value above 0", o.epsilon);
  need(std::isfinite(o.weight_decay) && o.weight_decay >= 0, "weight_decay", "0 or more", o.weight_decay);
  need(o.max_grad_norm > 0, "max_grad_norm", "a value above 0", o.max_grad_norm);
}

// The gradient's norm; parameters where it is not finite are named.
double gradient_norm(Backend& backend, const ParameterStore& parameters, std::vector<std::string>& non_finite) {
  const Span span("gradient norm");
  double squares = 0.0;
  for (const Parameter& p : parameters.all()) {
    if (!p.trainable) continue;
    const double part = backend.sum_squares(p.grad);
    if (!std::isfinite(part)) note(non_finite, p.name);
    squares += part;
  }
  return std::sqrt(squares);
}

AdamWStep step_of(const AdamWOptions& options, int64_t t) {
  AdamWStep step{};
  step.beta1 = options.beta1;
  step.beta2 = options.beta2;
  step.epsilon = options.epsilon;
  step.bias_correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(options.beta1), t));
  step.bias_correction2 = static_cast<float>(1.0 - std::pow(static_cast<double>(options.beta2), t));
  step.seed = options.seed;
  step.update = static_cast<uint64_t>(t);
  return step;
}

AdamWTensors tensors_of(const ParameterStore& parameters, const Parameter& p) {
  AdamWTensors tensors;
  tensors.grad = p.grad;
  tensors.value = p.exact();
  if (p.master && p.value.dtype() == DType::kBF16) tensors.rounded = p.value;
  tensors.m = parameters.moment1(p);
  tensors.v = parameters.moment2(p);
  tensors.first_element = static_cast<uint64_t>(p.train_offset);
  return tensors;
}

}  // namespace

StepResult adamw_step(Backend& backend, ParameterStore& parameters, const AdamWOptions& options) {
  check_options(options);
  check(parameters.trains(), ErrorCode::kState, "step: the model has no trainable parameters");
  StepResult result;
  const double norm = gradient_norm(backend, parameters, result.non_finite);
  result.grad_norm = result.grad_norm_clipped = static_cast<float>(norm);
  if (!std::isfinite(norm)) {
    result.skipped = true;
    parameters.zero_grad(backend);
    return result;
  }
  const Span update_span("update");
  // Before anything is changed: there may be no memory for them.
  parameters.make_moments(backend);
  AdamWStep step = step_of(options, ++parameters.step_count);
  // As torch.nn.utils.clip_grad_norm_.
  step.grad_scale = static_cast<float>(std::min(1.0, options.max_grad_norm / (norm + 1e-6)));
  result.grad_norm_clipped = static_cast<float>(norm * step.grad_scale);
  for (const Parameter& p : parameters.all()) {
    if (!p.trainable) continue;
    step.learning_rate = options.learning_rate.of(p.part);
    step.weight_decay = p.decays ? options.weight_decay : 0.0f;
    if (backend.adamw(step, tensors_of(parameters, p)) > 0) note(result.non_finite_weights, p.name);
  }
  parameters.mark_written();
  return result;
}

}  // namespace vlmr1
