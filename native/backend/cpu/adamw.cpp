#include <cstring>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "core/random.h"

namespace vlmr1::cpu {

namespace {

constexpr int64_t kGrain = 1 << 15;  // whole blocks of moments
constexpr int64_t kBlendPart = 1024;

static_assert(kGrain % kMomentBlock == 0);

MomentRange range_of(const Moment& moment, const MomentCode& code, int64_t begin) {
  if (!moment.scales) return {moment.values.data<float>() + begin, nullptr, nullptr, nullptr};
  return {nullptr, moment.values.data<uint8_t>() + begin, moment.scales.data<float>() + begin / kMomentBlock, &code};
}

}  // namespace

double CpuBackend::sum_squares(const Tensor& x) {
  const int64_t n = x.numel();
  const float* data = x.data<float>();
  std::vector<double> parts((n + kGrain - 1) / kGrain);
  ranges(n, kGrain, [&](int64_t b, int64_t e) { parts[b / kGrain] = kernels_.sum_squares(data + b, e - b); });
  double total = 0.0;
  for (double part : parts) total += part;
  return total;
}

int64_t CpuBackend::adamw(const AdamWStep& s, const AdamWTensors& t) {
  const AdamWArgs args{s.learning_rate,    s.beta1,     s.beta2, s.epsilon, s.weight_decay, s.bias_correction1,
                       s.bias_correction2, s.grad_scale};
  const bool half_only = t.value.dtype() == DType::kBF16;
  const Tensor& narrow = half_only ? t.value : t.rounded;
  const int64_t n = t.value.numel();
  std::vector<int64_t> held(static_cast<size_t>((n + kGrain - 1) / kGrain));
  ranges(n, kGrain, [&](int64_t b, int64_t e) {
    AdamWRange range{};
    range.n = e - b;
    range.grad = t.grad.data<float>() + b;
    range.value = half_only ? nullptr : t.value.data<float>() + b;
    range.half = narrow ? static_cast<uint16_t*>(narrow.raw()) + b : nullptr;
    range.m = range_of(t.m, first_moment_code(), b);
    range.v = range_of(t.v, second_moment_code(), b);
    range.key = mix64(mix64(s.seed) ^ s.update);
    range.first = t.first_element + static_cast<uint64_t>(b);
    held[static_cast<size_t>(b / kGrain)] = kernels_.adamw(args, range);
  });
  int64_t total = 0;
  for (const int64_t part : held) total += part;
  return total;
}

void CpuBackend::blend(const Tensor& from, float alpha, Tensor& to) {
  if (alpha == 1.0f && from.dtype() == to.dtype()) return copy(from, to);
  const auto keep = static_cast<float>(1.0 - double{alpha});
  const auto* halves = static_cast<const uint16_t*>(from.raw());
  auto* narrow = static_cast<uint16_t*>(to.raw());
  const bool rounds = to.dtype() == DType::kBF16;
  const auto widen = from.dtype() == DType::kF16 ? kernels_.f32_from_f16 : kernels_.f32_from_bf16;
  ranges(to.numel(), kGrain, [&](int64_t b, int64_t e) {
    float wide[kBlendPart], sum[kBlendPart];
    for (int64_t i = b; i < e; i += kBlendPart) {
      const int64_t n = e - i < kBlendPart ? e - i : kBlendPart;
      const float* source = from.dtype() == DType::kF32 ? from.data<float>() + i : wide;
      if (source == wide) widen(halves + i, wide, n);
      float* out = rounds ? sum : to.data<float>() + i;
      if (alpha == 1.0f) {
        std::memcpy(out, source, static_cast<size_t>(n) * sizeof(float));
      } else {
        if (rounds) kernels_.f32_from_bf16(narrow + i, sum, n);
        kernels_.blend(source, alpha, keep, out, n);
      }
      if (rounds) kernels_.bf16_from_f32(sum, narrow + i, n);
    }
  });
}

}  // namespace vlmr1::cpu
