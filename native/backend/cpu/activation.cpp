#include "backend/cpu/cpu_backend.h"
#include "core/random.h"

namespace vlmr1::cpu {

namespace {
constexpr int64_t kGrain = 16384;

// The exact one goes through libm, an element at a time.
int64_t gelu_grain(GeluKind kind) { return kind == GeluKind::kExact ? kGrain / 8 : kGrain; }
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
  ranges(x.numel(), gelu_grain(kind), [&](int64_t b, int64_t e) { kernels_.gelu(kind, in + b, out + b, e - b); });
}

void CpuBackend::gelu_grad(const Tensor& dy, const Tensor& x, GeluKind kind, Tensor& dx) {
  const float* d = dy.data<float>();
  const float* in = x.data<float>();
  float* out = dx.data<float>();
  ranges(x.numel(), gelu_grain(kind),
         [&](int64_t b, int64_t e) { kernels_.gelu_grad(kind, d + b, in + b, out + b, e - b); });
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
  ranges(x.numel(), kGrain / 4, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i)
      out[i] = random_uniform(seed, stream, static_cast<uint64_t>(i), 0) >= p ? in[i] * kept : 0.0f;
  });
}

}  // namespace vlmr1::cpu
