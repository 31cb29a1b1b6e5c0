// Rows by index: the embedding, its gradient, and the moves of picture features and scored rows.
#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {
int64_t row_grain(int64_t cols) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, cols)); }
}  // namespace

// A weight that products read in bf16 is read so here too: a tied head and its embedding are the same numbers.
void CpuBackend::gather_rows(const Tensor& x, const Tensor& index, Tensor& y) {
  const int64_t cols = x.shape().cols();
  const int32_t* at = index.data<int32_t>();
  float* out = y.data<float>();
  const auto gather = [&](const auto* in, const auto& copy) {
    ranges(index.numel(), row_grain(cols), [&](int64_t b, int64_t e) {
      for (int64_t n = b; n < e; ++n) copy(in + at[n] * cols, out + n * cols, cols);
    });
  };
  const bool rounds = x.storage()->products.weight == DType::kBF16;
  const auto* bits = static_cast<const uint16_t*>(x.raw());
  if (x.dtype() == DType::kBF16) {
    gather(bits, kernels_.f32_from_bf16);
  } else if (x.dtype() == DType::kF16) {
    gather(bits, [&](const uint16_t* row, float* to, int64_t n) {
      kernels_.f32_from_f16(row, to, n);
      if (rounds) kernels_.round_to_bf16_values(to, to, n);
    });
  } else if (rounds) {
    gather(x.data<float>(), kernels_.round_to_bf16_values);
  } else {
    gather(x.data<float>(), [](const float* row, float* to, int64_t n) { std::memcpy(to, row, n * sizeof(float)); });
  }
}

void CpuBackend::scatter_rows(const Tensor& x, const Tensor& index, Tensor& y) {
  const int64_t cols = x.shape().cols();
  const float* in = x.data<float>();
  const int32_t* at = index.data<int32_t>();
  float* out = y.data<float>();
  ranges(index.numel(), row_grain(cols), [&](int64_t b, int64_t e) {
    for (int64_t n = b; n < e; ++n) std::memcpy(out + at[n] * cols, in + n * cols, cols * sizeof(float));
  });
}

// Threads own columns, so that a row that several indices name is summed in their order.
void CpuBackend::scatter_add_rows(const Tensor& dy, const Tensor& index, Tensor& dx) {
  const int64_t cols = dy.shape().cols();
  const int64_t count = index.numel();
  const float* in = dy.data<float>();
  const int32_t* at = index.data<int32_t>();
  float* out = dx.data<float>();
  ranges(cols, 256, [&](int64_t b, int64_t e) {
    for (int64_t n = 0; n < count; ++n)
      kernels_.add(out + at[n] * cols + b, in + n * cols + b, out + at[n] * cols + b, e - b);
  });
}

void CpuBackend::zero_rows(const Tensor& index, Tensor& x) {
  if (dry_run_) return;
  const int64_t cols = x.shape().cols();
  const int32_t* at = index.data<int32_t>();
  float* out = x.data<float>();
  for (int64_t n = 0; n < index.numel(); ++n) std::fill_n(out + at[n] * cols, cols, 0.0f);
}

}  // namespace vlmr1::cpu
