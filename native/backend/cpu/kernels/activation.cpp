#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"
#include "core/random.h"

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

namespace {

void gelu_exact(const float* x, float* y, int64_t n) {
  for_lanes(n, [&](int64_t i, int lanes) {
    const F v = load_lanes(x + i, lanes);
    store_lanes(y + i, mul(v, normal_cdf(v)), lanes);
  });
}

// dx = dy · (Φ(x) + x · φ(x))
void gelu_exact_grad(const float* dy, const float* x, float* dx, int64_t n) {
  for_lanes(n, [&](int64_t i, int lanes) {
    const F v = load_lanes(x + i, lanes);
    const F density = mul(set1(0.39894228f), exp(mul(mul(set1(-0.5f), v), v)));
    store_lanes(dx + i, mul(load_lanes(dy + i, lanes), fma(v, density, normal_cdf(v))), lanes);
  });
}

// Both approximations are x · σ(x · (linear + cubic · x²)): (1 + tanh u) / 2 = σ(2u).
struct SigmoidGelu {
  float linear, cubic;
};

VLMR1_INLINE SigmoidGelu coefficients(GeluKind kind) {
  constexpr float kTwiceRoot = 1.59576912f;  // 2 · √(2 / π)
  return kind == GeluKind::kTanh ? SigmoidGelu{kTwiceRoot, kTwiceRoot * 0.044715f} : SigmoidGelu{1.702f, 0.0f};
}

VLMR1_INLINE F gate(const SigmoidGelu& g, F x, F square) {
  return sigmoid(mul(x, fma(square, set1(g.cubic), set1(g.linear))));
}

}  // namespace

void gelu(GeluKind kind, const float* x, float* y, int64_t n) {
  if (kind == GeluKind::kExact) return gelu_exact(x, y, n);
  const SigmoidGelu g = coefficients(kind);
  for_lanes(n, [&](int64_t i, int lanes) {
    const F v = load_lanes(x + i, lanes);
    store_lanes(y + i, mul(v, gate(g, v, mul(v, v))), lanes);
  });
}

// With s = σ(z(x)): dx = dy · s · (1 + x · z'(x) · (1 − s)).
void gelu_grad(GeluKind kind, const float* dy, const float* x, float* dx, int64_t n) {
  if (kind == GeluKind::kExact) return gelu_exact_grad(dy, x, dx, n);
  const SigmoidGelu g = coefficients(kind);
  const F one = set1(1.0f);
  for_lanes(n, [&](int64_t i, int lanes) {
    const F v = load_lanes(x + i, lanes);
    const F square = mul(v, v);
    const F s = gate(g, v, square);
    const F slope = fma(square, set1(3.0f * g.cubic), set1(g.linear));
    store_lanes(dx + i, mul(mul(load_lanes(dy + i, lanes), s), fma(mul(v, slope), sub(one, s), one)), lanes);
  });
}

void add_arrays(const float* a, const float* b, float* y, int64_t n) {
  for_lanes(n, [&](int64_t i, int lanes) {
    store_lanes(y + i, add(load_lanes(a + i, lanes), load_lanes(b + i, lanes)), lanes);
  });
}

void scale_array(const float* x, float factor, float* y, int64_t n) {
  const F by = set1(factor);
  for_lanes(n, [&](int64_t i, int lanes) { store_lanes(y + i, mul(load_lanes(x + i, lanes), by), lanes); });
}

// Plain integers, which the compiler puts into vectors.
void dropout(const float* x, uint64_t drop_below, float kept, uint64_t key, uint64_t first, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t bits = mix64(mix64(key ^ (first + static_cast<uint64_t>(i)))) >> 11;
    y[i] = bits >= drop_below ? x[i] * kept : 0.0f;
  }
}

}  // namespace vlmr1::cpu::VLMR1_ISA
