#include <math.h>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

void swiglu(const float* gate, const float* up, float* y, int64_t n) {
  for_lanes(n, [&](int64_t i, int lanes) {
    const F g = load_lanes(gate + i, lanes);
    store_lanes(y + i, mul(mul(g, sigmoid(g)), load_lanes(up + i, lanes)), lanes);
  });
}

// silu'(g) = σ(g) · (1 + g · (1 − σ(g)))
void swiglu_grad(const float* dy, const float* gate, const float* up, float* dgate, float* dup, int64_t n) {
  const F one = set1(1.0f);
  for_lanes(n, [&](int64_t i, int lanes) {
    const F g = load_lanes(gate + i, lanes);
    const F d = load_lanes(dy + i, lanes);
    const F s = sigmoid(g);
    const F slope = mul(s, fma(g, sub(one, s), one));
    store_lanes(dgate + i, mul(mul(d, load_lanes(up + i, lanes)), slope), lanes);
    store_lanes(dup + i, mul(d, mul(g, s)), lanes);
  });
}

void gelu(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
}

void gelu_grad(const float* dy, const float* x, float* dx, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float cdf = 0.5f * (1.0f + erff(x[i] * 0.70710678f));
    const float pdf = 0.39894228f * expf(-0.5f * x[i] * x[i]);
    dx[i] = dy[i] * (cdf + x[i] * pdf);
  }
}

void add_arrays(const float* a, const float* b, float* y, int64_t n) {
  for_lanes(n, [&](int64_t i, int lanes) {
    store_lanes(y + i, add(load_lanes(a + i, lanes), load_lanes(b + i, lanes)), lanes);
  });
}

}  // namespace vlmr1::cpu::VLMR1_ISA
