#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {
constexpr int64_t kGrain = 16384;
}

void CpuBackend::swiglu(const Tensor& gate, const Tensor& up, Tensor& y) {
  const float* g = gate.data<float>();
  const float* u = up.data<float>();
  float* out = y.data<float>();
  ranges(y.numel(), kGrain, [&](int64_t b, int64_t e) { kernels_.swiglu(g + b, u + b, out + b, e - b); });
}

void CpuBackend::swiglu_grad(const Tensor& dy, const Tensor& gate, const Tensor& up, Tensor& dgate, Tensor& dup) {
  const float* d = dy.data<float>();
  const float* g = gate.data<float>();
  const float* u = up.data<float>();
  float* dg = dgate.data<float>();
  float* du = dup.data<float>();
  ranges(dy.numel(), kGrain,
         [&](int64_t b, int64_t e) { kernels_.swiglu_grad(d + b, g + b, u + b, dg + b, du + b, e - b); });
}

void CpuBackend::gelu(const Tensor& x, Tensor& y) {
  const float* in = x.data<float>();
  float* out = y.data<float>();
  ranges(x.numel(), kGrain / 8, [&](int64_t b, int64_t e) { kernels_.gelu(in + b, out + b, e - b); });
}

void CpuBackend::gelu_grad(const Tensor& dy, const Tensor& x, Tensor& dx) {
  const float* d = dy.data<float>();
  const float* in = x.data<float>();
  float* out = dx.data<float>();
  ranges(x.numel(), kGrain / 8, [&](int64_t b, int64_t e) { kernels_.gelu_grad(d + b, in + b, out + b, e - b); });
}

void CpuBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  const float* pa = a.data<float>();
  const float* pb = b.data<float>();
  float* out = y.data<float>();
  ranges(y.numel(), kGrain, [&](int64_t i, int64_t e) { kernels_.add(pa + i, pb + i, out + i, e - i); });
}

}  // namespace vlmr1::cpu
