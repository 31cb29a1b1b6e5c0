// Kernels that are vectors of something simple: each value against that, over all the range of a float.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/float16.h"
#include "ops/rows.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Floats of every size and sign, infinities and NaN among them, and borders of rounding.
std::vector<float> all_over() {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < 1ull << 32; bits += 40'961) values.push_back(from_bits(static_cast<uint32_t>(bits)));
  for (uint32_t high = 0; high < 1 << 16; high += 7)
    for (const uint32_t low : {0x7fffu, 0x8000u, 0x8001u, 0xffffu}) values.push_back(from_bits(high << 16 | low));
  for (const float value : {0.0f, -0.0f, kInfinity, -kInfinity, kNaN}) values.push_back(value);
  return values;
}

Tensor column(Backend& backend, const std::vector<float>& values) {
  return to_device(backend, {{static_cast<int64_t>(values.size())}, values, false});
}

double phi(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// An error of Φ by 1e-7 is one of erf by 2e-7 at values up to 2: about an ulp.
TEST(values_gelu_is_exact_over_the_whole_range) {
  const auto x = all_over();
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    const Tensor in = column(*backend, x);
    Tensor y = backend->empty(in.shape()), dx = backend->empty(in.shape()), ones = backend->empty(in.shape());
    backend->fill(ones, 1.0f);
    backend->gelu(in, GeluKind::kExact, y);
    backend->gelu_grad(ones, in, GeluKind::kExact, dx);
    const auto values = to_vector(*backend, y), slopes = to_vector(*backend, dx);
    double worst = 0.0, worst_slope = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double v = x[i];
      if (std::isnan(v) || v == -kInfinity) {
        if (!std::isnan(values[i]) || !std::isnan(slopes[i])) VLMR1_REPORT("gelu of " + show(v) + " is a number");
        continue;
      }
      if (v == kInfinity) {
        EXPECT_EQ(values[i], kInfinity);
        continue;
      }
      const double expected = v * phi(v);
      worst = std::max(worst, std::fabs(values[i] - expected) / std::max(1e-30, std::fabs(v)));
      const double slope = phi(v) + v * std::exp(-0.5 * v * v) / std::sqrt(2.0 * 3.14159265358979323846);
      worst_slope = std::max(worst_slope, std::fabs(slopes[i] - slope));
    }
    EXPECT_LE(worst, 1e-7);
    EXPECT_LE(worst_slope, 2.5e-7);
  }
}

TEST(values_of_all_types_are_converted_as_one_by_one) {
  const auto wide = all_over();
  const int64_t n = static_cast<int64_t>(wide.size());
  std::vector<uint16_t> halves(65'536 + 3);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const int64_t count = static_cast<int64_t>(halves.size());
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    Tensor narrow = backend->empty({n}, DType::kBF16);
    backend->convert(column(*backend, wide), narrow);
    std::vector<uint16_t> bits(wide.size());
    backend->download(narrow, bits.data());
    for (size_t i = 0; i < wide.size(); ++i)
      if (bits[i] != f32_to_bf16(wide[i])) VLMR1_REPORT("bf16 of " + show(wide[i]) + " is " + show(bits[i]));
    for (const DType type : {DType::kBF16, DType::kF16}) {
      Tensor from = backend->empty({count}, type);
      backend->upload(from, halves.data());
      Tensor to = backend->empty({count});
      backend->convert(from, to);
      std::vector<float> expected;
      for (const uint16_t half : halves) expected.push_back(type == DType::kF16 ? f16_to_f32(half) : bf16_to_f32(half));
      EXPECT_TRUE(same_bits(to_vector(*backend, to), expected));
    }
  }
}

TEST(values_of_large_arrays_are_copied_whole) {
  const auto backend = make_cpu_backend({3, ""});
  const Array x = random_array(1, {3, 1'000'003});
  const Tensor there = to_device(*backend, x);
  Tensor again = backend->empty(x.shape);
  backend->copy(there, again);
  EXPECT_TRUE(same_bits(to_vector(*backend, again), x.values));
}

// One pass writes the value, its rounded copy, and clears the gradient.
TEST(values_of_adamw_and_their_rounded_copy) {
  const AdamWStep step{0.25f, 0.9f, 0.99f, 1e-3f, 0.1f, 1.0f - 0.729f, 1.0f - 0.970299f, 0.5f};
  for (const Device& device : devices()) {
    for (const int64_t n : {1, 15, 33, 70'001}) {
      const auto backend = device.open(3);
      Array squares = random_array(4, {n});
      for (float& v : squares.values) v *= v;
      const auto run = [&](Tensor* rounded) {
        std::vector<Tensor> t{to_device(*backend, random_array(1, {n})), to_device(*backend, random_array(2, {n})),
                              to_device(*backend, random_array(3, {n})), to_device(*backend, squares)};
        const Tensor copy = rounded ? *rounded : Tensor();
        EXPECT_EQ(backend->adamw(step, {t[0], t[1], copy, {t[2], {}}, {t[3], {}}}), 0);
        return t;
      };
      // A guard behind the copy.
      Tensor copy = backend->zeros({n + 1}, DType::kBF16);
      Tensor part = copy.rows(0, n);
      const auto with = run(&part), without = run(nullptr);
      for (size_t i = 0; i < with.size(); ++i)
        EXPECT_TRUE(same_bits(to_vector(*backend, with[i]), to_vector(*backend, without[i])));
      EXPECT_TRUE(same_bits(to_vector(*backend, with[0]), std::vector<float>(static_cast<size_t>(n), 0.0f)));
      std::vector<uint16_t> bits(static_cast<size_t>(n) + 1);
      backend->download(copy, bits.data());
      const auto values = to_vector(*backend, with[1]);
      for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(bits[i], f32_to_bf16(values[i]));
      EXPECT_EQ(bits.back(), 0);
    }
  }
}

TEST(values_of_sum_squares_are_the_same_on_every_device) {
  const Array x = random_array(1, {100'003});
  const auto base = devices()[0].open(1);
  const double expected = base->sum_squares(to_device(*base, x));
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    EXPECT_EQ(backend->sum_squares(to_device(*backend, x)), expected);
  }
}

// Rows of several blocks: maxima that rise and fall, blocks of minus infinity, a NaN in any of them.
TEST(values_of_token_logp_over_many_blocks) {
  const int64_t v = 13'001;
  Array logits = random_array(1, {4, v}, 3.0);
  for (int64_t i = 0; i < v; ++i) {
    logits.values[i] += static_cast<float>(i) * 0.02f;
    logits.values[v + i] -= static_cast<float>(i) * 0.02f;
    if (i < 9000) logits.values[2 * v + i] = -kInfinity;
    if (i >= 4096) logits.values[3 * v + i] = -kInfinity;
  }
  const std::vector<int32_t> targets{12'999, 3, 12'000, 7};
  // In the reference no infinity: it would have 0 · ∞.
  Doubles finite = to_double(logits.values);
  for (double& z : finite) z = std::max(z, -1e4);
  const plain::LogProbs expected = plain::log_probs(finite, targets, 0.8);
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    const auto run = [&](const Array& z) {
      Tensor lse = backend->empty({4}), logp = backend->empty({4}), entropy = backend->empty({4});
      backend->token_logp(to_device(*backend, z), ops::upload_index(*backend, targets), 0.8f, lse, logp, &entropy);
      return std::pair(to_vector(*backend, logp), to_vector(*backend, entropy));
    };
    const auto [logp, entropy] = run(logits);
    for (size_t r = 0; r < 4; ++r) {
      EXPECT_NEAR(logp[r], expected.logp[r], 5e-5);
      EXPECT_NEAR(entropy[r], expected.entropy[r], 5e-5);
    }
    for (const int64_t at : {0, 5000, 13'000}) {
      Array bad = logits;
      bad.values[2 * v + at] = kNaN;
      bad.values[3 * v + at] = kInfinity;
      const auto got = run(bad).first;
      EXPECT_TRUE(std::isnan(got[2]) && std::isnan(got[3]) && !std::isnan(got[0]));
    }
  }
}

// A weight's gradient is added block by block of rows, in the order of the rows.
TEST(values_of_norm_gradients_do_not_depend_on_the_cut) {
  const int64_t rows = 301, e = 2050;
  for (const Device& device : devices()) {
    std::vector<float> expected;
    for (const int threads : {1, 3}) {
      const auto backend = device.open(threads);
      const Tensor x = to_device(*backend, random_array(1, {rows, e})),
                   dy = to_device(*backend, random_array(2, {rows, e}));
      const Tensor weight = to_device(*backend, random_array(3, {e})),
                   inv = to_device(*backend, random_array(4, {rows}));
      for (const int64_t size : {rows, int64_t{100}, int64_t{1}}) {
        std::vector<float> all;
        Tensor dscale = backend->zeros({e}), dweight = backend->zeros({e}), dbias = backend->zeros({e});
        for (int64_t begin = 0; begin < rows; begin += size) {
          const int64_t end = std::min(rows, begin + size);
          Tensor dx = backend->empty({end - begin, e});
          const Tensor x_part = x.rows(begin, end), dy_part = dy.rows(begin, end), inv_part = inv.rows(begin, end);
          backend->rms_norm_grad(dy_part, x_part, weight, inv_part, dx, &dscale);
          backend->layer_norm_grad(dy_part, x_part, weight, inv_part, inv_part, dx, &dweight, &dbias);
        }
        for (const Tensor& gradient : {dscale, dweight, dbias}) {
          const auto values = to_vector(*backend, gradient);
          all.insert(all.end(), values.begin(), values.end());
        }
        if (expected.empty()) expected = all;
        EXPECT_TRUE(same_bits(all, expected));
      }
    }
  }
}

}  // namespace
}  // namespace vlmr1
