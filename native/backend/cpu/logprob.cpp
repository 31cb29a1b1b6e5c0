#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

void CpuBackend::token_logp(const Tensor& logits, const Tensor& target, const Temperatures& temperatures, Tensor& lse,
                            Tensor& logp, Tensor* entropy) {
  const int64_t v = logits.shape().cols();
  const float* z = logits.data<float>();
  const int32_t* chosen = target.data<int32_t>();
  float* out_lse = lse.data<float>();
  float* out_logp = logp.data<float>();
  float* out_entropy = entropy ? entropy->data<float>() : nullptr;
  pool_.run(logits.shape().rows(), [&](int64_t n, int) {
    kernels_.token_logp(z + n * v, v, chosen[n], 1.0f / temperatures[n], out_lse + n, out_logp + n,
                        out_entropy ? out_entropy + n : nullptr);
  });
}

void CpuBackend::token_logp_grad(const Tensor& target, const Tensor& lse, const Tensor& dlogp,
                                 const EntropyGrad* entropy, float temperature, Tensor& logits) {
  const int64_t v = logits.shape().cols();
  float* z = logits.data<float>();
  const int32_t* chosen = target.data<int32_t>();
  const float* sums = lse.data<float>();
  const float* grad = dlogp.data<float>();
  if (entropy) {
    const float* values = entropy->entropy.data<float>();
    const float* slopes = entropy->dentropy.data<float>();
    pool_.run(logits.shape().rows(), [&](int64_t n, int) {
      kernels_.token_logp_entropy_grad(z + n * v, v, chosen[n], 1.0f / temperature, sums[n], grad[n], values[n],
                                       slopes[n]);
    });
    return;
  }
  pool_.run(logits.shape().rows(), [&](int64_t n, int) {
    kernels_.token_logp_grad(z + n * v, v, chosen[n], 1.0f / temperature, sums[n], grad[n]);
  });
}

}  // namespace vlmr1::cpu
