#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "core/random.h"

namespace vlmr1::cpu {

namespace {
constexpr int64_t kGrain = 16384;
}  // namespace

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

void CpuBackend::gelu(const Tensor& x, GeluKind kind, Tensor& y) {
  const float* in = x.data<float>();
  float* out = y.data<float>();
  ranges(x.numel(), kGrain, [&](int64_t b, int64_t e) { kernels_.gelu(kind, in + b, out + b, e - b); });
}

void CpuBackend::gelu_grad(const Tensor& dy, const Tensor& x, GeluKind kind, Tensor& dx) {
  const float* d = dy.data<float>();
  const float* in = x.data<float>();
  float* out = dx.data<float>();
  ranges(x.numel(), kGrain, [&](int64_t b, int64_t e) { kernels_.gelu_grad(kind, d + b, in + b, out + b, e - b); });
}

void CpuBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  const float* pa = a.data<float>();
  const float* pb = b.data<float>();
  float* out = y.data<float>();
  ranges(y.numel(), kGrain, [&](int64_t i, int64_t e) { kernels_.add(pa + i, pb + i, out + i, e - i); });
}

void CpuBackend::scale(const Tensor& x, float factor, Tensor& y) {
  const float* in = x.data<float>();
  float* out = y.data<float>();
  ranges(x.numel(), kGrain, [&](int64_t b, int64_t e) { kernels_.scale(in + b, factor, out + b, e - b); });
}

void CpuBackend::dropout(const Tensor& x, float p, uint64_t seed, uint64_t stream, Tensor& y) {
  const float* in = x.data<float>();
  float* out = y.data<float>();
  const float kept = 1.0f / (1.0f - p);
  // random_uniform(seed, stream, i, 0) < p, in whole numbers.
  const auto drop_below = static_cast<uint64_t>(std::ceil(static_cast<double>(p) * 0x1.0p53));
  const uint64_t key = mix64(mix64(seed) ^ stream);
  ranges(x.numel(), kGrain, [&](int64_t b, int64_t e) {
    kernels_.dropout(in + b, drop_below, kept, key, static_cast<uint64_t>(b), out + b, e - b);
  });
}

}  // namespace vlmr1::cpu
