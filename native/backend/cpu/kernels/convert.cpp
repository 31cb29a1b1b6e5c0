// Between floating-point types: plain loops over bits, which the compiler puts into vectors.
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/variants.h"
#include "core/dtype.h"
#include "core/float16.h"

namespace vlmr1::cpu::VLMR1_ISA {

void bf16_from_f32(const float* x, uint16_t* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = f32_to_bf16(x[i]);
}

void f32_from_bf16(const uint16_t* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = bf16_to_f32(x[i]);
}

void f32_from_f16(const uint16_t* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = f16_to_f32(x[i]);
}

void round_to_bf16_values(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = bf16_to_f32(f32_to_bf16(x[i]));
}

}  // namespace vlmr1::cpu::VLMR1_ISA
