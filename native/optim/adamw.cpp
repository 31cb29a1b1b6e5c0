#include "optim/adamw.h"

#include <cmath>

#include "backend/backend.h"
#include "core/trace.h"

namespace vlmr1 {

namespace {

void check_options(const AdamWOptions& o) {
  const auto need = [](bool ok, const char* field, const char* expected, double got) {
    check(ok, ErrorCode::kArgument, field, ": expected ", expected, ", got ", got);
  };
  need(std::isfinite(o.learning_rate) && o.learning_rate >= 0, "learning_rate", "0 or more", o.learning_rate);
  need(o.beta1 >= 0 && o.beta1 < 1, "beta1", "a value in [0, 1)", o.beta1);
  need(o.beta2 >= 0 && o.beta2 < 1, "beta2", "a value in [0, 1)", o.beta2);
  need(o.epsilon > 0, "epsilon", "a value above 0", o.epsilon);
  need(std::isfinite(o.weight_decay) && o.weight_decay >= 0, "weight_decay", "0 or more", o.weight_decay);
  need(o.max_grad_norm > 0, "max_grad_norm", "a value above 0", o.max_grad_norm);
}

}  // namespace

StepResult adamw_step(Backend& backend, ParameterStore& parameters, const AdamWOptions& options) {
  check_options(options);
  check(parameters.trains(), ErrorCode::kState, "step: the model has no trainable parameters");
  StepResult result;
  Span norm_span("gradient norm");
  double squares = 0.0;
  for (const Parameter& p : parameters.all()) {
    if (!p.trainable) continue;
    const double part = backend.sum_squares(p.grad);
    if (!std::isfinite(part) && result.non_finite.size() < 10) result.non_finite.push_back(p.name);
    squares += part;
  }
  norm_span.end();
  const double norm = std::sqrt(squares);
  result.grad_norm = static_cast<float>(norm);
  if (!std::isfinite(norm)) {
    result.skipped = true;
    parameters.zero_grad(backend);
    return result;
  }
  const Span update_span("update");
  const int64_t t = ++parameters.step_count;
  AdamWStep step{};
  step.learning_rate = options.learning_rate;
  step.beta1 = options.beta1;
  step.beta2 = options.beta2;
  step.epsilon = options.epsilon;
  step.bias_correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(options.beta1), t));
  step.bias_correction2 = static_cast<float>(1.0 - std::pow(static_cast<double>(options.beta2), t));
  // As torch.nn.utils.clip_grad_norm_.
  step.grad_scale = static_cast<float>(std::min(1.0, options.max_grad_norm / (norm + 1e-6)));
  Tensor& m = parameters.moment1(backend);
  Tensor& v = parameters.moment2(backend);
  for (Parameter& p : parameters.all()) {
    if (!p.trainable) continue;
    step.weight_decay = p.decays ? options.weight_decay : 0.0f;
    Tensor m_view = ParameterStore::slice(m, p);
    Tensor v_view = ParameterStore::slice(v, p);
    backend.adamw(step, p.grad, p.master, m_view, v_view, p.value.dtype() == DType::kBF16 ? &p.value : nullptr);
  }
  parameters.mark_written();
  return result;
}

}  // namespace vlmr1
