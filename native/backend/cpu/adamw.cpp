#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {
constexpr int64_t kGrain = 1 << 15;
}

double CpuBackend::sum_squares(const Tensor& x) {
  const int64_t n = x.numel();
  const float* data = x.data<float>();
  std::vector<double> parts((n + kGrain - 1) / kGrain);
  ranges(n, kGrain, [&](int64_t b, int64_t e) { parts[b / kGrain] = kernels_.sum_squares(data + b, e - b); });
  double total = 0.0;
  for (double part : parts) total += part;
  return total;
}

void CpuBackend::adamw(const AdamWStep& s, Tensor& grad, Tensor& value, Tensor& m, Tensor& v, Tensor* rounded) {
  const AdamWArgs args{s.learning_rate,    s.beta1,     s.beta2, s.epsilon, s.weight_decay, s.bias_correction1,
                       s.bias_correction2, s.grad_scale};
  float* g = grad.data<float>();
  float* x = value.data<float>();
  float* pm = m.data<float>();
  float* pv = v.data<float>();
  uint16_t* bits = rounded ? static_cast<uint16_t*>(rounded->raw()) : nullptr;
  ranges(value.numel(), kGrain, [&](int64_t b, int64_t e) {
    kernels_.adamw(args, g + b, x + b, pm + b, pv + b, bits ? bits + b : nullptr, e - b);
  });
}

}  // namespace vlmr1::cpu
