#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

double sum_squares(const float* x, int64_t n) {
  double total = 0.0;
  for (int64_t i = 0; i < n; ++i) total += static_cast<double>(x[i]) * x[i];
  return total;
}

// The order of operations is torch.optim.AdamW's: decay, moments, then value −= lr/bc1 · m / (√v/√bc2 + ε).
void adamw(const AdamWArgs& a, const float* grad, float* value, float* m, float* v, int64_t n) {
  const F keep = set1(1.0f - a.learning_rate * a.weight_decay);
  const F step = set1(-a.learning_rate / a.bias_correction1);
  const F root = set1(__builtin_sqrtf(a.bias_correction2));
  for_lanes(n, [&](int64_t i, int lanes) {
    const F g = mul(load_lanes(grad + i, lanes), set1(a.grad_scale));
    const F m0 = load_lanes(m + i, lanes);
    const F m1 = fma(set1(1.0f - a.beta1), sub(g, m0), m0);
    const F v1 = fma(mul(set1(1.0f - a.beta2), g), g, mul(set1(a.beta2), load_lanes(v + i, lanes)));
    const F denominator = add(div(sqrt(v1), root), set1(a.epsilon));
    store_lanes(m + i, m1, lanes);
    store_lanes(v + i, v1, lanes);
    store_lanes(value + i, fma(step, div(m1, denominator), mul(load_lanes(value + i, lanes), keep)), lanes);
  });
}

}  // namespace vlmr1::cpu::VLMR1_ISA
