#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

// total[begin, end) = step(… step(step(total, row 0), row 1) …, last row): each column has one sum over ascending rows.
// Eight vectors side by side make every visit to a row a run of whole cache lines, a few rows at a time one that the
// processor sees coming.
template <typename Step>
VLMR1_INLINE void add_rows(float* total, int64_t rows, int64_t begin, int64_t end, const Step& step) {
  constexpr int kGroup = 8;
  constexpr int64_t kRows = 16;
  for (int64_t t0 = 0; t0 < rows; t0 += kRows) {
    const int64_t t1 = t0 + kRows < rows ? t0 + kRows : rows;
    int64_t c = begin;
    for (; c + kGroup * W <= end; c += kGroup * W) {
      F acc[kGroup];
#pragma GCC unroll 8
      for (int j = 0; j < kGroup; ++j) acc[j] = load(total + c + j * W);
      for (int64_t t = t0; t < t1; ++t) {
#pragma GCC unroll 8
        for (int j = 0; j < kGroup; ++j) acc[j] = step(acc[j], t, c + j * W, W);
      }
#pragma GCC unroll 8
      for (int j = 0; j < kGroup; ++j) store(total + c + j * W, acc[j]);
    }
    for_lanes(end - c, [&](int64_t i, int n) {
      F acc = load_lanes(total + c + i, n);
      for (int64_t t = t0; t < t1; ++t) acc = step(acc, t, c + i, n);
      store_lanes(total + c + i, acc, n);
    });
  }
}

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, float* y, float* inv_rms, int64_t rows, int64_t e) {
  for (int64_t t = 0; t < rows; ++t, x += e, y += e) {
    F squares = zero();
    for_lanes(e, [&](int64_t i, int n) {
      const F v = load_lanes(x + i, n);
      squares = fma(v, v, squares);
    });
    const float inv = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(e) + eps);
    inv_rms[t] = inv;
    for_lanes(e, [&](int64_t i, int n) {
      store_lanes(y + i, mul(load_lanes(weight + i, n), mul(load_lanes(x + i, n), set1(inv))), n);
    });
  }
}

// With x̂ = x · inv and g = dy · weight: dx = inv · (g − x̂ · mean(g · x̂)).
void rms_norm_grad(const float* dy, const float* x, const float* weight, const float* inv_rms, float* dx, int64_t rows,
                   int64_t e) {
  for (int64_t t = 0; t < rows; ++t, x += e, dy += e, dx += e) {
    const F inv = set1(inv_rms[t]);
    F dot = zero();
    for_lanes(e, [&](int64_t i, int n) {
      const F g = mul(load_lanes(dy + i, n), load_lanes(weight + i, n));
      dot = fma(g, mul(load_lanes(x + i, n), inv), dot);
    });
    const F mean = set1(sum(dot) / static_cast<float>(e));
    for_lanes(e, [&](int64_t i, int n) {
      const F g = mul(load_lanes(dy + i, n), load_lanes(weight + i, n));
      const F hat = mul(load_lanes(x + i, n), inv);
      store_lanes(dx + i, mul(inv, sub(g, mul(hat, mean))), n);
    });
  }
}

void rms_norm_grad_weight(const float* dy, const float* x, const float* inv_rms, float* dweight, int64_t rows,
                          int64_t e, int64_t begin, int64_t end) {
  add_rows(
      dweight, rows, begin, end, [&](F acc, int64_t t, int64_t c, int n) __attribute__((always_inline)) {
        const F hat = mul(load_lanes(x + t * e + c, n), set1(inv_rms[t]));
        return fma(load_lanes(dy + t * e + c, n), hat, acc);
      });
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, float* y, float* mean,
                float* inv_std, int64_t rows, int64_t e) {
  const float count = static_cast<float>(e);
  for (int64_t t = 0; t < rows; ++t, x += e, y += e) {
    F total = zero();
    for_lanes(e, [&](int64_t i, int n) { total = add(total, load_lanes(x + i, n)); });
    mean[t] = sum(total) / count;
    const F center = set1(mean[t]);
    F squares = zero();
    for_lanes(e, [&](int64_t i, int n) {
      // Lanes past the end hold 0, which is not 0 any more once the mean is taken away.
      const F away = first_n(sub(load_lanes(x + i, n), center), n, zero());
      squares = fma(away, away, squares);
    });
    inv_std[t] = 1.0f / __builtin_sqrtf(sum(squares) / count + eps);
    const F inv = set1(inv_std[t]);
    for_lanes(e, [&](int64_t i, int n) {
      const F hat = mul(sub(load_lanes(x + i, n), center), inv);
      store_lanes(y + i, fma(hat, load_lanes(weight + i, n), load_lanes(bias + i, n)), n);
    });
  }
}

// With x̂ = (x − mean) · inv and g = dy · weight: dx = inv · (g − mean(g) − x̂ · mean(g · x̂)).
void layer_norm_grad(const float* dy, const float* x, const float* weight, const float* mean, const float* inv_std,
                     float* dx, int64_t rows, int64_t e) {
  const float count = static_cast<float>(e);
  for (int64_t t = 0; t < rows; ++t, x += e, dy += e, dx += e) {
    const F center = set1(mean[t]);
    const F inv = set1(inv_std[t]);
    F total = zero();
    F dot = zero();
    for_lanes(e, [&](int64_t i, int n) {
      const F g = mul(load_lanes(dy + i, n), load_lanes(weight + i, n));
      total = add(total, g);
      dot = fma(g, mul(sub(load_lanes(x + i, n), center), inv), dot);
    });
    const F mean_g = set1(sum(total) / count);
    const F mean_dot = set1(sum(dot) / count);
    for_lanes(e, [&](int64_t i, int n) {
      const F g = mul(load_lanes(dy + i, n), load_lanes(weight + i, n));
      const F hat = mul(sub(load_lanes(x + i, n), center), inv);
      store_lanes(dx + i, mul(inv, sub(sub(g, mean_g), mul(hat, mean_dot))), n);
    });
  }
}

void layer_norm_grad_weight(const float* dy, const float* x, const float* mean, const float* inv_std, float* dweight,
                            int64_t rows, int64_t e, int64_t begin, int64_t end) {
  add_rows(
      dweight, rows, begin, end, [&](F acc, int64_t t, int64_t c, int n) __attribute__((always_inline)) {
        const F hat = mul(sub(load_lanes(x + t * e + c, n), set1(mean[t])), set1(inv_std[t]));
        return fma(load_lanes(dy + t * e + c, n), hat, acc);
      });
}

void column_sum(const float* x, float* total, int64_t rows, int64_t cols, int64_t begin, int64_t end) {
  add_rows(
      total, rows, begin, end, [&](F acc, int64_t t, int64_t c, int n) __attribute__((always_inline)) {
        return add(acc, load_lanes(x + t * cols + c, n));
      });
}

}  // namespace vlmr1::cpu::VLMR1_ISA
