#include <math.h>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

// Running sums of one row, relative to e^top.
struct RunningSums {
  float top;   // the largest z so far
  F total;     // Σ e^(z − top)
  F weighted;  // Σ e^(z − top) · (z − top)
};

// 0 stands for the maximum of nothing, so that minus infinity gives e^−∞ = 0 and not NaN.
VLMR1_INLINE float finite_top(float top) { return top == -__builtin_inff() ? 0.0f : top; }

// Takes `top` for the maximum from here on.
VLMR1_INLINE void rescale(RunningSums& s, float top) {
  const bool first = s.top == -__builtin_inff();
  const F down = set1(first ? 0.0f : s.top - top);
  const F factor = exp(down);
  s.weighted = mul(fma(s.total, down, s.weighted), factor);
  s.total = mul(s.total, factor);
  s.top = top;
}

VLMR1_INLINE float block_max(const float* logits, int64_t v, F inv) {
  constexpr int kGroup = 4;
  F largest[kGroup];
  for (F& l : largest) l = set1(-__builtin_inff());
  int64_t i = 0;
  for (; i + kGroup * W <= v; i += kGroup * W) {
#pragma GCC unroll 4
    for (int j = 0; j < kGroup; ++j) largest[j] = max(largest[j], mul(load(logits + i + j * W), inv));
  }
  for_lanes(v - i, [&](int64_t k, int n) {
    largest[0] = max(largest[0], first_n(mul(load_lanes(logits + i + k, n), inv), n, set1(-__builtin_inff())));
  });
  return hmax(max(max(largest[0], largest[1]), max(largest[2], largest[3])));
}

}  // namespace

// With z = logits / temperature: lse = m + log Σ e^(z−m); entropy = lse − Σ p·z, written around the maximum. One pass
// over memory: blocks that stay in the first cache are searched for their maximum and then summed.
void token_logp(const float* logits, int64_t v, int32_t target, float inv_temperature, float* lse, float* logp,
                float* entropy) {
  constexpr int64_t kBlock = 2048;
  const F inv = set1(inv_temperature);
  RunningSums s{-__builtin_inff(), zero(), zero()};
  for (int64_t begin = 0; begin < v; begin += kBlock) {
    const float* block = logits + begin;
    const int64_t count = v - begin < kBlock ? v - begin : kBlock;
    const float top = block_max(block, count, inv);
    // A NaN is not in order with anything: it goes on to the sums.
    if (!(top <= s.top)) rescale(s, top);
    const F shift = set1(finite_top(s.top));
    for_lanes(count, [&](int64_t i, int n) {
      // While this block is summed, memory brings the next.
      __builtin_prefetch(block + i + kBlock);
      const F z = sub(mul(load_lanes(block + i, n), inv), shift);
      F p = exp(z);
      if (n < W) p = first_n(p, n, zero());
      s.total = add(s.total, p);
      // A logit of minus infinity has probability 0 and no share in the entropy.
      s.weighted = fma(p, max(set1(-1e30f), z), s.weighted);
    });
  }
  const float sum_exp = sum(s.total);
  const float log_sum = logf(sum_exp);
  *lse = finite_top(s.top) + log_sum;
  *logp = logits[target] * inv_temperature - *lse;
  if (entropy) *entropy = log_sum - sum(s.weighted) / sum_exp;
}

void token_logp_grad(float* logits, int64_t v, int32_t target, float inv_temperature, float lse, float dlogp) {
  const float chosen = logits[target];
  const float scale = dlogp * inv_temperature;
  const F inv = set1(inv_temperature);
  for_lanes(v, [&](int64_t i, int n) {
    const F p = exp(sub(mul(load_lanes(logits + i, n), inv), set1(lse)));
    store_lanes(logits + i, mul(set1(-scale), p), n);
  });
  float p[W];
  store(p, exp(set1(chosen * inv_temperature - lse)));
  logits[target] = scale * (1.0f - p[0]);
}

// d entropy / d z = −p·(log p + entropy), beside d logp / d z = [target] − p.
void token_logp_entropy_grad(float* logits, int64_t v, int32_t target, float inv_temperature, float lse, float dlogp,
                             float entropy, float dentropy) {
  const float scale = dlogp * inv_temperature;
  const float bonus = dentropy * inv_temperature;
  const F inv = set1(inv_temperature);
  const float log_chosen = logits[target] * inv_temperature - lse;
  for_lanes(v, [&](int64_t i, int n) {
    const F log_p = sub(mul(load_lanes(logits + i, n), inv), set1(lse));
    // A logit of minus infinity has probability 0, and no slope.
    const F more = add(max(set1(-1e30f), log_p), set1(entropy));
    store_lanes(logits + i, mul(fma(set1(-bonus), more, set1(-scale)), exp(log_p)), n);
  });
  float p[W];
  store(p, exp(set1(log_chosen)));
  logits[target] = scale * (1.0f - p[0]) - bonus * (p[0] * ((log_chosen > -1e30f ? log_chosen : -1e30f) + entropy));
}

}  // namespace vlmr1::cpu::VLMR1_ISA
