#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd_bf16.h"
#include "backend/cpu/kernels/simd_double.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

// The square of a float is exact in double.
double sum_squares(const float* x, int64_t n) {
  return sum_in_double(
      n, [&](int64_t i, int lanes) __attribute__((always_inline)) { return load_lanes(x + i, lanes); },
      [](D v) __attribute__((always_inline)) { return square_double(v); });
}

// The order of operations is torch.optim.AdamW's: decay, moments, then value −= lr/bc1 · m / (√v/√bc2 + ε).
void adamw(const AdamWArgs& a, float* grad, float* value, float* m, float* v, uint16_t* rounded, int64_t n) {
  const F keep = set1(1.0f - a.learning_rate * a.weight_decay);
  const F step = set1(-a.learning_rate / a.bias_correction1);
  const F root = set1(__builtin_sqrtf(a.bias_correction2));
  const auto update = [&](int64_t i, int lanes) __attribute__((always_inline)) {
    const F g = mul(load_lanes(grad + i, lanes), set1(a.grad_scale));
    const F m0 = load_lanes(m + i, lanes);
    const F m1 = fma(set1(1.0f - a.beta1), sub(g, m0), m0);
    const F v1 = fma(mul(set1(1.0f - a.beta2), g), g, mul(set1(a.beta2), load_lanes(v + i, lanes)));
    const F denominator = add(div(sqrt(v1), root), set1(a.epsilon));
    const F x = fma(step, div(m1, denominator), mul(load_lanes(value + i, lanes), keep));
    store_lanes(m + i, m1, lanes);
    store_lanes(v + i, v1, lanes);
    store_lanes(value + i, x, lanes);
    store_lanes(grad + i, zero(), lanes);
    return x;
  };
  if (!rounded) {
    for_lanes(n, update);
    return;
  }
  for_lanes(
      n, [&](int64_t i, int lanes)
             __attribute__((always_inline)) { store_bf16(rounded + i, update(i, lanes), lanes); });
}

}  // namespace vlmr1::cpu::VLMR1_ISA
