#include <math.h>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

// With z = logits / temperature: lse = m + log Σ e^(z−m); entropy = lse − Σ p·z, written around the maximum.
void token_logp(const float* logits, int64_t v, int32_t target, float inv_temperature, float* lse, float* logp,
                float* entropy) {
  const F inv = set1(inv_temperature);
  F largest = set1(-__builtin_inff());
  for_lanes(v, [&](int64_t i, int n) {
    F z = mul(load_lanes(logits + i, n), inv);
    if (n < W) z = first_n(z, n, set1(-__builtin_inff()));
    largest = max(largest, z);
  });
  const float top = hmax(largest);
  const F shift = set1(top);
  F total = zero();
  F weighted = zero();
  for_lanes(v, [&](int64_t i, int n) {
    const F z = sub(mul(load_lanes(logits + i, n), inv), shift);
    F p = exp(z);
    if (n < W) p = first_n(p, n, zero());
    total = add(total, p);
    // A logit of minus infinity has probability 0 and no share in the entropy.
    weighted = fma(p, max(set1(-1e30f), z), weighted);
  });
  const float sum_exp = sum(total);
  const float log_sum = logf(sum_exp);
  *lse = top + log_sum;
  *logp = logits[target] * inv_temperature - *lse;
  if (entropy) *entropy = log_sum - sum(weighted) / sum_exp;
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

}  // namespace vlmr1::cpu::VLMR1_ISA
