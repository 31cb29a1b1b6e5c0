#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {
// Rows per task: about 32 kB of each operand.
int64_t row_grain(int64_t cols) { return cols >= 8192 ? 1 : 8192 / (cols > 0 ? cols : 1); }
}  // namespace

void CpuBackend::rms_norm(const Tensor& x, const Tensor& weight, float eps, Tensor& y, Tensor& inv_rms) {
  const int64_t e = x.shape().cols();
  const float* in = x.data<float>();
  const float* w = weight.data<float>();
  float* out = y.data<float>();
  float* inv = inv_rms.data<float>();
  ranges(x.shape().rows(), row_grain(e), [&](int64_t begin, int64_t end) {
    kernels_.rms_norm(in + begin * e, w, eps, out + begin * e, inv + begin, end - begin, e);
  });
}

void CpuBackend::rms_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& inv_rms,
                               Tensor& dx, Tensor* dweight) {
  const int64_t rows = x.shape().rows();
  const int64_t e = x.shape().cols();
  const float* grad = dy.data<float>();
  const float* in = x.data<float>();
  const float* w = weight.data<float>();
  const float* inv = inv_rms.data<float>();
  float* out = dx.data<float>();
  ranges(rows, row_grain(e), [&](int64_t begin, int64_t end) {
    kernels_.rms_norm_grad(grad + begin * e, in + begin * e, w, inv + begin, out + begin * e, end - begin, e);
  });
  if (!dweight) return;
  float* dw = dweight->data<float>();
  ranges(e, 64, [&](int64_t b, int64_t n) { kernels_.rms_norm_grad_weight(grad, in, inv, dw, rows, e, b, n); });
}

void CpuBackend::layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Tensor& y,
                            Tensor& mean, Tensor& inv_std) {
  const int64_t e = x.shape().cols();
  const float* in = x.data<float>();
  const float* w = weight.data<float>();
  const float* b = bias.data<float>();
  float* out = y.data<float>();
  float* center = mean.data<float>();
  float* inv = inv_std.data<float>();
  ranges(x.shape().rows(), row_grain(e), [&](int64_t begin, int64_t end) {
    kernels_.layer_norm(in + begin * e, w, b, eps, out + begin * e, center + begin, inv + begin, end - begin, e);
  });
}

void CpuBackend::layer_norm_grad(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& mean,
                                 const Tensor& inv_std, Tensor& dx, Tensor* dweight, Tensor* dbias) {
  const int64_t rows = x.shape().rows();
  const int64_t e = x.shape().cols();
  const float* grad = dy.data<float>();
  const float* in = x.data<float>();
  const float* w = weight.data<float>();
  const float* center = mean.data<float>();
  const float* inv = inv_std.data<float>();
  float* out = dx.data<float>();
  ranges(rows, row_grain(e), [&](int64_t begin, int64_t end) {
    kernels_.layer_norm_grad(grad + begin * e, in + begin * e, w, center + begin, inv + begin, out + begin * e,
                             end - begin, e);
  });
  if (dweight) {
    float* dw = dweight->data<float>();
    ranges(e, 64, [&](int64_t begin, int64_t end) {
      kernels_.layer_norm_grad_weight(grad, in, center, inv, dw, rows, e, begin, end);
    });
  }
  if (dbias) {
    float* db = dbias->data<float>();
    ranges(e, 64, [&](int64_t begin, int64_t end) { kernels_.column_sum(grad, db, rows, e, begin, end); });
  }
}

void CpuBackend::rope(const Tensor& x, const Tensor& cos, const Tensor& sin, int64_t head_size, bool inverse,
                      Tensor& y) {
  const int64_t cols = x.shape().cols();
  const int64_t half = head_size / 2;
  const float* in = x.data<float>();
  const float* c = cos.data<float>();
  const float* s = sin.data<float>();
  float* out = y.data<float>();
  ranges(x.shape().rows(), row_grain(cols), [&](int64_t begin, int64_t end) {
    kernels_.rope(in + begin * cols, c + begin * half, s + begin * half, out + begin * cols, end - begin,
                  cols / head_size, head_size, inverse);
  });
}

}  // namespace vlmr1::cpu
