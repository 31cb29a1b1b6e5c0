#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

namespace {
// Rows per task: about 32 kB of each operand.
int64_t row_grain(int64_t cols) { return cols >= 8192 ? 1 : 8192 / (cols > 0 ? cols : 1); }

// Columns per task where threads own columns, so that each column is one sum over ascending rows.
constexpr int64_t kColumnGrain = 128;

// Rows whose gradients are still in the threads' caches when their share of the weight's gradient is added.
int64_t rows_at_once(int64_t cols, int threads) {
  const int64_t grain = row_grain(cols);
  return (threads * int64_t{1 << 18} / (grain * (cols > 0 ? cols : 1)) + 1) * grain;
}
}  // namespace

// One read from memory for both gradients: by_rows(begin, end) over the rows of a block, then by_columns(first row,
// rows, begin, end) over its columns, block by block; the columns of a block beside the rows of the next, so that
// threads wait for each other once a block.
template <typename ByRows, typename ByColumns>
void CpuBackend::blocks_of_rows(int64_t rows, int64_t cols, const ByRows& by_rows, const ByColumns& by_columns) {
  const int64_t at_once = rows_at_once(cols, pool_.threads());
  const int64_t grain = row_grain(cols);
  const auto tasks = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
  const auto count = [&](int64_t first) { return std::max<int64_t>(0, std::min(at_once, rows - first)); };
  for (int64_t first = 0; first < rows + at_once && rows > 0; first += at_once) {
    const int64_t before = first - at_once;
    const int64_t column_tasks = before < 0 ? 0 : tasks(cols, kColumnGrain);
    pool_.run(column_tasks + tasks(count(first), grain), [&](int64_t task, int) {
      if (task < column_tasks) {
        const int64_t begin = task * kColumnGrain;
        by_columns(before, count(before), begin, std::min(cols, begin + kColumnGrain));
      } else {
        const int64_t begin = (task - column_tasks) * grain;
        by_rows(first + begin, first + std::min(count(first), begin + grain));
      }
    });
  }
}

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
  float* dw = dweight ? dweight->data<float>() : nullptr;
  const auto gradient_of_x = [&](int64_t begin, int64_t end) {
    kernels_.rms_norm_grad(grad + begin * e, in + begin * e, w, inv + begin, out + begin * e, end - begin, e);
  };
  if (!dw) return ranges(rows, row_grain(e), gradient_of_x);
  blocks_of_rows(rows, e, gradient_of_x, [&](int64_t first, int64_t count, int64_t begin, int64_t end) {
    kernels_.rms_norm_grad_weight(grad + first * e, in + first * e, inv + first, dw, count, e, begin, end);
  });
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
  float* dw = dweight ? dweight->data<float>() : nullptr;
  float* db = dbias ? dbias->data<float>() : nullptr;
  const auto gradient_of_x = [&](int64_t begin, int64_t end) {
    kernels_.layer_norm_grad(grad + begin * e, in + begin * e, w, center + begin, inv + begin, out + begin * e,
                             end - begin, e);
  };
  if (!dw && !db) return ranges(rows, row_grain(e), gradient_of_x);
  blocks_of_rows(rows, e, gradient_of_x, [&](int64_t first, int64_t count, int64_t begin, int64_t end) {
    const float* dy_block = grad + first * e;
    if (dw)
      kernels_.layer_norm_grad_weight(dy_block, in + first * e, center + first, inv + first, dw, count, e, begin, end);
    if (db) kernels_.column_sum(dy_block, db, count, e, begin, end);
  });
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
