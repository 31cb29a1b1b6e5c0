// Operands of products in the order in which the register tile reads them: step by step, a step being one k in f32 or
// two in bf16, `width` lanes of four bytes each.
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd_bf16.h"
#include "backend/cpu/kernels/variants.h"

namespace vlmr1::cpu::VLMR1_ISA {

namespace {

template <typename T>
VLMR1_INLINE void copy_short(const T* from, T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

VLMR1_INLINE F load_bf16_lanes(const uint16_t* p, int n) {
  if (n == W) return load_bf16(p);
  uint16_t first[W] = {};
  copy_short(p, first, n);
  return load_bf16(first);
}

// load_steps: W steps of a row, from kWide of its elements. rows: a step of W columns of a row, or of two.
struct F32ToF32 {
  using From = float;
  static constexpr int kWide = W;
  VLMR1_INLINE Pairs load_steps(const float* p) { return as_pairs(load(p)); }
  VLMR1_INLINE Pairs rows(const float* a, const float*, int n) { return as_pairs(load_lanes(a, n)); }
};
struct BF16ToF32 {
  using From = uint16_t;
  static constexpr int kWide = W;
  VLMR1_INLINE Pairs load_steps(const uint16_t* p) { return as_pairs(load_bf16(p)); }
  VLMR1_INLINE Pairs rows(const uint16_t* a, const uint16_t*, int n) { return as_pairs(load_bf16_lanes(a, n)); }
};
struct F32ToRounded {
  using From = float;
  static constexpr int kWide = W;
  VLMR1_INLINE Pairs load_steps(const float* p) { return as_pairs(round_to_bf16(load(p))); }
  VLMR1_INLINE Pairs rows(const float* a, const float*, int n) { return as_pairs(round_to_bf16(load_lanes(a, n))); }
};
struct F32ToPairs {
  using From = float;
  static constexpr int kWide = 2 * W;
  VLMR1_INLINE Pairs load_steps(const float* p) { return narrow(load(p), load(p + W)); }
  VLMR1_INLINE Pairs rows(const float* a, const float* b, int n) {
    return to_pairs(load_lanes(a, n), load_lanes(b, n));
  }
};
struct BF16ToPairs {
  using From = uint16_t;
  static constexpr int kWide = 2 * W;
  VLMR1_INLINE Pairs load_steps(const uint16_t* p) { return load_pairs(reinterpret_cast<const uint32_t*>(p)); }
  VLMR1_INLINE Pairs rows(const uint16_t* a, const uint16_t* b, int n) {
    return join(as_pairs(load_bf16_lanes(a, n)), as_pairs(load_bf16_lanes(b, n)));
  }
};

// k runs along the rows: W rows of W steps at a time are turned.
template <typename C>
VLMR1_INLINE void turn(const typename C::From* in, int64_t stride, int64_t count, int64_t k, int64_t width,
                       uint32_t* out) {
  using From = typename C::From;
  for (int64_t r0 = 0; r0 < width; r0 += W) {
    const int lanes = static_cast<int>(width - r0 < W ? width - r0 : W);
    const int64_t rows = count - r0 < lanes ? count - r0 : lanes;
    for (int64_t k0 = 0, step = 0; k0 < k; k0 += C::kWide, step += W) {
      const int64_t left = k - k0;
      Pairs v[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; ++i) {
        v[i] = set1_pairs(0);
        if (i >= rows) continue;
        const From* row = in + (r0 + i) * stride + k0;
        if (left >= C::kWide) {
          v[i] = C::load_steps(row);
        } else {
          From rest[C::kWide] = {};
          copy_short(row, rest, left);
          v[i] = C::load_steps(rest);
        }
      }
      transpose(v);
      const int64_t steps = left >= C::kWide ? W : (left * W + C::kWide - 1) / C::kWide;
      uint32_t* to = out + step * width + r0;
      for (int64_t i = 0; i < steps; ++i, to += width) {
        if (lanes == W) store_pairs(to, v[i]);
        else store_pairs_n(to, v[i], lanes);
      }
    }
  }
}

// k runs across the rows: a step is a row in f32, two rows side by side in bf16.
template <typename C>
VLMR1_INLINE void stack(const typename C::From* in, int64_t stride, int64_t k, int64_t cols, int64_t width,
                        uint32_t* out) {
  using From = typename C::From;
  constexpr int kRows = C::kWide / W;
  static const From kNothing[W] = {};
  for (int64_t row = 0; row < k; row += kRows, out += width) {
    const From* a = in + row * stride;
    const bool two = row + 1 < k;
    for (int64_t c = 0; c < width; c += W) {
      const int lanes = static_cast<int>(width - c < W ? width - c : W);
      // The caller comes back for the rows after these: each is on a page of its own, which nothing else fetches.
      __builtin_prefetch(a + k * stride + c);
      if (kRows == 2) __builtin_prefetch(a + (k + 1) * stride + c);
      const int64_t left = cols - c;
      const int here = static_cast<int>(left < 0 ? 0 : left < W ? left : W);
      const Pairs x = C::rows(a + c, two ? a + stride + c : kNothing, here);
      if (lanes == W) store_pairs(out + c, x);
      else store_pairs_n(out + c, x, lanes);
    }
  }
}

template <typename C>
VLMR1_INLINE void pack_as(const PackBlock& b) {
  const auto* in = static_cast<const typename C::From*>(b.in);
  if (b.k_along_rows) turn<C>(in, b.stride, b.count, b.k, b.width, b.out);
  else stack<C>(in, b.stride, b.k, b.count, b.width, b.out);
}

}  // namespace

void pack_block(const PackBlock& b) {
  if (b.from_bf16) {
    if (b.to == Operand::kPairs) pack_as<BF16ToPairs>(b);
    else pack_as<BF16ToF32>(b);
  } else if (b.to == Operand::kPairs) {
    pack_as<F32ToPairs>(b);
  } else if (b.to == Operand::kRounded) {
    pack_as<F32ToRounded>(b);
  } else {
    pack_as<F32ToF32>(b);
  }
}

void widen_pairs(const uint32_t* pairs, int64_t width, int64_t k, float* out) {
  for (int64_t row = 0; row < k; row += 2, pairs += width, out += 2 * width) {
    for (int64_t c = 0; c < width; c += W) {
      const Pairs p = load_pairs(pairs + c);
      store(out + c, low(p));
      if (row + 1 < k) store(out + width + c, high(p));
    }
  }
}

}  // namespace vlmr1::cpu::VLMR1_ISA
