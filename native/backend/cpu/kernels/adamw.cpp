#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/simd_bf16.h"
#include "backend/cpu/kernels/simd_double.h"
#include "backend/cpu/kernels/variants.h"
#include "core/dtype.h"
#include "core/random.h"

namespace vlmr1::cpu::VLMR1_ISA {

// The square of a float is exact in double.
double sum_squares(const float* x, int64_t n) {
  return sum_in_double(
      n, [&](int64_t i, int lanes) __attribute__((always_inline)) { return load_lanes(x + i, lanes); },
      [](D v) __attribute__((always_inline)) { return square_double(v); });
}

void blend(const float* from, float alpha, float keep, float* to, int64_t n) {
  for_lanes(
      n, [&](int64_t i, int lanes) __attribute__((always_inline)) {
        const F kept = mul(set1(keep), load_lanes(to + i, lanes));
        store_lanes(to + i, fma(set1(alpha), load_lanes(from + i, lanes), kept), lanes);
      });
}

namespace {

VLMR1_INLINE F magnitude(F x) { return max(sub(zero(), x), x); }

VLMR1_INLINE uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}

// The order of operations is torch.optim.AdamW's: decay, moments, then value −= lr/bc1 · m / (√v/√bc2 + ε). `limit`:
// what a new value must stay below. A comparison with a NaN is false, so that such an element is held back too.
VLMR1_INLINE float update(const AdamWArgs& a, float* grad, float* value, float* m, float* v, uint16_t* rounded,
                          int64_t n, float limit) {
  const F keep = set1(1.0f - a.learning_rate * a.weight_decay);
  const F step = set1(-a.learning_rate / a.bias_correction1);
  const F root = set1(__builtin_sqrtf(a.bias_correction2));
  const F infinity = set1(__builtin_inff());
  const bool moves = a.learning_rate != 0.0f;  // adding −0 could turn a −0 into 0
  F held = zero();
  const auto body = [&](int64_t i, int lanes) __attribute__((always_inline)) {
    const F g = mul(load_lanes(grad + i, lanes), set1(a.grad_scale));
    const F m0 = load_lanes(m + i, lanes);
    const F v0 = load_lanes(v + i, lanes);
    const F x0 = load_lanes(value + i, lanes);
    const F m1 = fma(set1(1.0f - a.beta1), sub(g, m0), m0);
    const F v1 = fma(mul(set1(1.0f - a.beta2), g), g, mul(set1(a.beta2), v0));
    const F denominator = add(div(sqrt(v1), root), set1(a.epsilon));
    const F x1 = moves ? fma(step, div(m1, denominator), mul(x0, keep)) : x0;
    // 0 where all three are finite.
    F bad = less_select(magnitude(x1), set1(limit), zero(), set1(1.0f));
    bad = less_select(magnitude(m1), infinity, bad, set1(1.0f));
    bad = less_select(v1, infinity, bad, set1(1.0f));
    held = add(held, bad);
    const F x = less_select(zero(), bad, x0, x1);
    store_lanes(m + i, less_select(zero(), bad, m0, m1), lanes);
    store_lanes(v + i, less_select(zero(), bad, v0, v1), lanes);
    store_lanes(value + i, x, lanes);
    store_lanes(grad + i, zero(), lanes);
    return x;
  };
  if (!rounded) {
    for_lanes(n, body);
  } else {
    for_lanes(
        n, [&](int64_t i, int lanes)
               __attribute__((always_inline)) { store_bf16(rounded + i, body(i, lanes), lanes); });
  }
  return sum(held);
}

// out[i] = table[index[i]], indices taken eight bytes at a time: faster than the gathers that a plain loop becomes.
template <typename Index, typename Value>
VLMR1_INLINE void look_up(const Value* table, const Index* __restrict index, Value* __restrict out, int64_t n) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first index lies in a word's low end");
  constexpr int64_t kStep = sizeof(uint64_t) / sizeof(Index);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    uint64_t word;
    __builtin_memcpy(&word, index + i, sizeof(word));
    for (int64_t k = 0; k < kStep; ++k) out[i + k] = table[static_cast<Index>(word >> 8 * sizeof(Index) * k)];
  }
  for (; i < n; ++i) out[i] = table[index[i]];
}

void decode(const MomentCode& code, const uint8_t* bytes, float scale, float* x, int64_t n) {
  look_up(code.value, bytes, x, n);
  for (int64_t i = 0; i < n; ++i) x[i] *= scale;
}

// Loops over arrays that nothing else is in: the compiler puts them into vectors. Of two levels that are as near the
// smaller one.
float encode(const MomentCode& code, const float* __restrict x, int64_t n, uint8_t* __restrict bytes) {
  constexpr auto kFirstCell = static_cast<int32_t>(MomentCode::kFirstCell);
  constexpr auto kLastCell = static_cast<int32_t>(MomentCode::kCells) - 1;
  F largest = zero();
  for_lanes(n, [&](int64_t i, int lanes) { largest = max(magnitude(load_lanes(x + i, lanes)), largest); });
  const float scale = hmax(largest);
  const float divisor = scale > 0.0f ? scale : 1.0f;
  uint32_t bits[kMomentBlock], cells[kMomentBlock], found[kMomentBlock];
  for (int64_t i = 0; i < n; ++i) {
    bits[i] = bits_of(x[i] / divisor);
    const int32_t cell = static_cast<int32_t>(bits[i] >> 16 & 0x7fffu) - kFirstCell;
    // Past the last only where a damaged state brought a NaN.
    cells[i] = static_cast<uint32_t>(cell < 0 ? 0 : cell < kLastCell ? cell : kLastCell);
  }
  look_up(code.cell, cells, found, n);
  const auto level = [&](int64_t i) __attribute__((always_inline)) { return (found[i] + (bits[i] & 0xffffu)) >> 16; };
  if (code.has_sign) {
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t below = level(i) < 127 ? level(i) : 127;  // −1 itself is no level
      bytes[i] = static_cast<uint8_t>(bits[i] >> 31 != 0 ? 127 - below : 127 + level(i));
    }
  } else {
    for (int64_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(bits[i] == 0 ? 0 : level(i));
  }
  return scale;
}

// Up with a probability of what would be cut off, in units of the last place: true on average. |x| is a bf16 at most.
void round_at_random(const float* __restrict x, uint64_t key, uint64_t first, uint16_t* __restrict half, int64_t n) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "four lanes of a word lie in memory from its low end on");
  uint64_t words[kMomentBlock / 4];
  uint16_t random[kMomentBlock];
  for (int64_t i = 0; i < (n + 3) / 4; ++i) words[i] = mix64(mix64(key ^ (first / 4 + static_cast<uint64_t>(i))));
  __builtin_memcpy(random, words, static_cast<size_t>((n + 3) / 4) * sizeof(uint64_t));
  for (int64_t i = 0; i < n; ++i) half[i] = static_cast<uint16_t>((bits_of(x[i]) + random[i]) >> 16);
}

}  // namespace

int64_t adamw(const AdamWArgs& a, const AdamWRange& r) {
  // The least float above all of bf16: rounded up it is infinite.
  const float limit = r.half ? 0x1.fe0002p127f : __builtin_inff();
  if (r.value && r.m.values)
    return static_cast<int64_t>(update(a, r.grad, r.value, r.m.values, r.v.values, r.half, r.n, limit));
  int64_t held = 0;
  float x[kMomentBlock], m[kMomentBlock], v[kMomentBlock];
  for (int64_t b = 0; b < r.n; b += kMomentBlock) {
    const int64_t n = r.n - b < kMomentBlock ? r.n - b : kMomentBlock;
    const int64_t block = b / kMomentBlock;
    if (r.m.codes) {
      decode(*r.m.code, r.m.codes + b, r.m.scales[block], m, n);
      decode(*r.v.code, r.v.codes + b, r.v.scales[block], v, n);
    }
    if (!r.value) f32_from_bf16(r.half + b, x, n);
    float* value = r.value ? r.value + b : x;
    float* first = r.m.codes ? m : r.m.values + b;
    float* second = r.m.codes ? v : r.v.values + b;
    uint16_t* copy = r.value && r.half ? r.half + b : nullptr;
    held += static_cast<int64_t>(update(a, r.grad + b, value, first, second, copy, n, limit));
    if (r.m.codes) {
      r.m.scales[block] = encode(*r.m.code, m, n, r.m.codes + b);
      r.v.scales[block] = encode(*r.v.code, v, n, r.v.codes + b);
    }
    if (!r.value) round_at_random(x, r.key, r.first + static_cast<uint64_t>(b), r.half + b, n);
  }
  return held;
}

}  // namespace vlmr1::cpu::VLMR1_ISA
