// The forms of AdamW: moments of one byte against a plain reference of the same algorithm, bf16 weights that are
// rounded at random, rates by part, weights that would not stay finite.
#include "optim/adamw.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/moment_code.h"
#include "core/dtype.h"
#include "core/random.h"
#include "tests/guarded_backend.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain_adamw.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<uint16_t> halves_of(Backend& backend, const Tensor& x) {
  std::vector<uint16_t> bits(static_cast<size_t>(x.numel()));
  backend.download(x, bits.data());
  return bits;
}

std::vector<uint8_t> bytes_of(Backend& backend, const Tensor& x) {
  std::vector<uint8_t> bytes(static_cast<size_t>(x.numel()));
  backend.download(x, bytes.data());
  return bytes;
}

Tensor halves(Backend& backend, const std::vector<float>& values) {
  std::vector<uint16_t> bits(values.size());
  std::transform(values.begin(), values.end(), bits.begin(), [](float value) { return f32_to_bf16(value); });
  Tensor x = backend.empty({static_cast<int64_t>(bits.size())}, DType::kBF16);
  backend.upload(x, bits.data());
  return x;
}

AdamWStep step_number(int t, float rate = 0.01f) {
  const float corrections[] = {static_cast<float>(1 - std::pow(0.9, t)), static_cast<float>(1 - std::pow(0.99, t))};
  return {rate, 0.9f, 0.99f, 1e-6f, 0.1f, corrections[0], corrections[1], 0.5f, 77, static_cast<uint64_t>(t)};
}

// Sizes spread over decades, some numbers 0.
std::vector<float> spread(uint64_t seed, int64_t n) {
  std::vector<float> x = random_array(seed, {n}).values;
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = i % 31 == 7 ? 0.0f : x[i] * std::pow(10.0f, -static_cast<float>(i * 7 % 9));
  return x;
}

TEST(adamw_codes_are_those_of_the_formula) {
  for (const bool has_sign : {true, false}) {
    const MomentCode& code = has_sign ? first_moment_code() : second_moment_code();
    const std::vector<float> levels = plain_levels(has_sign);
    EXPECT_EQ(levels.size(), has_sign ? 129u : 256u);
    for (int byte = 0; byte < 256; ++byte) {
      const int k = has_sign ? byte - 127 : byte;
      EXPECT_EQ(code.value[byte], k < 0 ? -levels[static_cast<size_t>(-k)] : levels[static_cast<size_t>(k)]);
      if (byte > 0) EXPECT_GT(code.value[byte], code.value[byte - 1]);
    }
  }
  // As bitsandbytes' create_dynamic_map() prints them.
  EXPECT_EQ(first_moment_code().value[0], -0.992968738079071f);
  EXPECT_EQ(first_moment_code().value[128], 5.499999815583578e-07f);
  EXPECT_EQ(first_moment_code().value[129], 3.2499999633728294e-06f);
  EXPECT_EQ(second_moment_code().value[1], 3.250000020216248e-07f);
  EXPECT_EQ(second_moment_code().value[126], 0.09929687529802322f);
  EXPECT_EQ(second_moment_code().value[254], 0.9964843988418579f);
}

// Both kinds of weights, on every instruction set and number of threads, between guards: a last block that is not full,
// a tensor of several tasks.
TEST(adamw_of_bytes_equals_a_plain_reference_bit_by_bit) {
  for (const Device& device : devices()) {
    const bool fused = device.name != "cpu/baseline";
    for (const bool of_halves : {false, true}) {
      for (const int64_t n : {1, 255, 256, 4096 + 131, 70'001}) {
        const int threads = n > 4096 ? 3 : 1;
        const auto inner = device.open(threads);
        GuardedBackend backend(*inner);
        std::vector<float> start = random_array(1, {n}).values;
        if (of_halves)
          for (float& x : start) x = bf16_to_f32(f32_to_bf16(x));
        PlainAdamW plain(start, fused, of_halves);
        AdamWTensors t;
        t.value = of_halves ? halves(backend, start) : to_device(backend, {{n}, start});
        t.grad = backend.empty({n});
        t.m = {backend.zeros({n}, DType::kU8), backend.zeros({(n + 255) / 256})};
        t.v = {backend.zeros({n}, DType::kU8), backend.zeros({(n + 255) / 256})};
        t.first_element = 48;
        for (int step = 1; step <= 3; ++step) {
          const std::vector<float> grad = spread(static_cast<uint64_t>(10 + step), n);
          backend.upload(t.grad, grad.data());
          EXPECT_EQ(backend.adamw(step_number(step), t), 0);
          plain.step(step_number(step), grad, t.first_element);
        }
        std::vector<float> got;
        if (of_halves)
          for (const uint16_t bits : halves_of(backend, t.value)) got.push_back(bf16_to_f32(bits));
        else got = to_vector(backend, t.value);
        EXPECT_TRUE(same_bits(got, plain.x));
        EXPECT_TRUE(bytes_of(backend, t.m.values) == plain.m.bytes);
        EXPECT_TRUE(bytes_of(backend, t.v.values) == plain.v.bytes);
        EXPECT_TRUE(same_bits(to_vector(backend, t.m.scales), plain.m_scales));
        EXPECT_TRUE(same_bits(to_vector(backend, t.v.scales), plain.v_scales));
        for (const float g : to_vector(backend, t.grad)) EXPECT_EQ(g, 0.0f);
        EXPECT_EQ(backend.check_guards(), "");
      }
    }
  }
}

// Moments that are their gradient, or its square: at every border between two codes, and right beside it.
TEST(adamw_codes_are_the_nearest_around_every_border) {
  std::vector<float> grad;
  const auto around = [&](float x) {
    for (const float g : {x, std::nextafter(x, 0.0f), std::nextafter(x, 1.0f)}) {
      for (const float signed_g : {g, -g}) {
        if (grad.size() % 256 == 0) grad.push_back(1.0f);  // the block's scale
        grad.push_back(signed_g);
      }
    }
  };
  for (const bool has_sign : {true, false}) {
    const std::vector<float> levels = plain_levels(has_sign);
    for (size_t k = 0; k + 1 < levels.size(); ++k) {
      const float border = (levels[k] + levels[k + 1]) * 0.5f;
      around(has_sign ? border : std::sqrt(border));
    }
  }
  for (const float small : {0.0f, 1e-44f, 1e-30f, 0x1p-24f, 0x1.02p-24f, 0x1p-12f}) around(small);
  AdamWStep s = step_number(1);
  s.beta1 = s.beta2 = 0.0f;
  s.grad_scale = 1.0f;
  const auto n = static_cast<int64_t>(grad.size());
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    PlainAdamW plain(std::vector<float>(grad.size()), device.name != "cpu/baseline", false);
    AdamWTensors t;
    t.value = backend->zeros({n});
    t.grad = to_device(*backend, {{n}, grad});
    t.m = {backend->zeros({n}, DType::kU8), backend->zeros({(n + 255) / 256})};
    t.v = {backend->zeros({n}, DType::kU8), backend->zeros({(n + 255) / 256})};
    backend->adamw(s, t);
    plain.step(s, grad, 0);
    EXPECT_TRUE(bytes_of(*backend, t.m.values) == plain.m.bytes);
    EXPECT_TRUE(bytes_of(*backend, t.v.values) == plain.v.bytes);
  }
}

// With f32 moments a bf16 weight takes the f32 kernel's value, rounded to one of its neighbours.
TEST(adamw_of_halves_rounds_to_a_neighbour_of_the_f32_update) {
  const int64_t n = 40'003;
  for (const Device& device : devices()) {
    std::vector<uint16_t> expected;
    for (const int threads : {1, 3}) {
      const auto inner = device.open(threads);
      GuardedBackend backend(*inner);
      const std::vector<float> start = random_array(1, {n}).values, grad = spread(2, n);
      AdamWTensors narrow;
      narrow.value = halves(backend, start);
      Tensor wide = backend.empty({n});
      backend.convert(narrow.value, wide);
      AdamWTensors exact;
      exact.value = wide;
      for (AdamWTensors* t : {&narrow, &exact}) {
        t->grad = to_device(backend, {{n}, grad});
        t->m = {backend.zeros({n}), {}};
        t->v = {backend.zeros({n}), {}};
        EXPECT_EQ(backend.adamw(step_number(1), *t), 0);
      }
      EXPECT_TRUE(same_bits(to_vector(backend, narrow.m.values), to_vector(backend, exact.m.values)));
      const auto got = halves_of(backend, narrow.value);
      const auto value = to_vector(backend, exact.value);
      int64_t up = 0, down = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        const float near = bf16_to_f32(got[i]);
        const float unit = std::fabs(value[i]) * 0x1p-7f;
        EXPECT_LE(std::fabs(near - value[i]), unit);
        up += std::fabs(near) > std::fabs(value[i]);
        down += std::fabs(near) < std::fabs(value[i]);
      }
      EXPECT_TRUE(up > n / 4 && down > n / 4);
      if (expected.empty()) expected = got;
      EXPECT_TRUE(got == expected);
      EXPECT_EQ(backend.check_guards(), "");
    }
  }
}

// Updates far below bf16's resolution add up to what they are on average: nearest rounding would lose all of them.
TEST(adamw_random_rounding_is_true_on_average) {
  const int64_t n = 1 << 14;
  const auto backend = make_cpu_backend({2, ""});
  AdamWTensors t;
  t.value = halves(*backend, std::vector<float>(static_cast<size_t>(n), 1.0f));
  t.m = {backend->zeros({n}), {}};
  t.v = {backend->zeros({n}), {}};
  const std::vector<float> ones(static_cast<size_t>(n), 1.0f);
  const int steps = 50;
  const float rate = 1e-4f;  // bf16 near 1 has steps of 2⁻⁸ below and 2⁻⁷ above
  for (int step = 1; step <= steps; ++step) {
    t.grad = to_device(*backend, {{n}, ones});
    AdamWStep s = step_number(step, rate);
    s.weight_decay = 0.0f;
    backend->adamw(s, t);
  }
  double sum = 0.0;
  for (const uint16_t bits : halves_of(*backend, t.value)) sum += bf16_to_f32(bits);
  // With a constant gradient every update is the rate. A weight has moved by 0 or by some steps of 2⁻⁸: the standard
  // deviation of the mean is below 2⁻⁸ · √(50 · 0.026) / 128.
  const double expected = 1.0 - steps * double{rate};
  const double deviation = 0x1p-8 * std::sqrt(steps * double{rate} * 256.0) / 128.0;
  EXPECT_NEAR(sum / static_cast<double>(n), expected, 4 * deviation);
  EXPECT_LT(4 * deviation, 1e-3);
}

// A second moment of 0 beside a first one that is not would make a step many times too large.
TEST(adamw_second_moments_above_zero_stay_above_zero) {
  const auto backend = make_cpu_backend({1, ""});
  const int64_t n = 256;
  std::vector<float> grad(static_cast<size_t>(n), 1e-4f);
  grad[0] = 1.0f;
  AdamWTensors coded, exact;
  for (AdamWTensors* t : {&coded, &exact}) {
    const bool bytes = t == &coded;
    t->value = backend->zeros({n});
    t->m = bytes ? Moment{backend->zeros({n}, DType::kU8), backend->zeros({1})} : Moment{backend->zeros({n}), {}};
    t->v = bytes ? Moment{backend->zeros({n}, DType::kU8), backend->zeros({1})} : Moment{backend->zeros({n}), {}};
    for (int step = 1; step <= 20; ++step) {
      t->grad = to_device(*backend, {{n}, grad});
      AdamWStep s = step_number(step, 1e-3f);
      s.epsilon = 1e-12f;
      s.weight_decay = 0.0f;
      backend->adamw(s, *t);
    }
  }
  const auto got = to_vector(*backend, coded.value), expected = to_vector(*backend, exact.value);
  // Steps towards the same side, none larger than f32's.
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_LT(got[i], 0.0f);
    EXPECT_GT(got[i], 1.05f * expected[i]);
  }
}

// Least squares with noisy gradients and curvatures over three decades: the loss goes where f32 moments take it, which
// it does not where small second moments become 0.
TEST(adamw_of_bytes_trains_as_f32_does) {
  const int64_t n = 8192;
  const auto backend = make_cpu_backend({2, ""});
  const std::vector<float> target = random_array(5, {n}).values;
  std::vector<float> curvature = random_array(6, {n}).values;
  for (float& c : curvature) c = std::pow(10.0f, std::clamp(c, -2.0f, 1.0f));
  const auto final_loss = [&](bool coded, bool of_halves) {
    AdamWTensors t;
    t.value = of_halves ? halves(*backend, std::vector<float>(static_cast<size_t>(n))) : backend->zeros({n});
    const auto moment = [&] {
      return coded ? Moment{backend->zeros({n}, DType::kU8), backend->zeros({n / 256})}
                   : Moment{backend->zeros({n}), {}};
    };
    t.m = moment();
    t.v = moment();
    double loss = 0.0;
    for (int step = 1; step <= 300; ++step) {
      std::vector<float> x(static_cast<size_t>(n));
      if (of_halves) {
        const auto bits = halves_of(*backend, t.value);
        std::transform(bits.begin(), bits.end(), x.begin(), [](uint16_t b) { return bf16_to_f32(b); });
      } else {
        x = to_vector(*backend, t.value);
      }
      std::vector<float> grad(x.size());
      loss = 0.0;
      const std::vector<float> noise = random_array(static_cast<uint64_t>(100 + step), {n}, 0.3).values;
      for (size_t i = 0; i < x.size(); ++i) {
        const float away = x[i] - target[i];
        grad[i] = curvature[i] * (away + noise[i]);
        loss += 0.5 * curvature[i] * away * away / static_cast<double>(n);
      }
      t.grad = to_device(*backend, {{n}, grad});
      AdamWStep s = step_number(step, 0.02f * static_cast<float>(301 - step) / 300.0f);
      s.weight_decay = 0.0f;
      s.grad_scale = 1.0f;
      backend->adamw(s, t);
    }
    return loss;
  };
  const double exact = final_loss(false, false);
  EXPECT_LT(exact, 0.01);
  EXPECT_NEAR(final_loss(true, false), exact, 0.2 * exact);
  EXPECT_NEAR(final_loss(true, true), exact, 0.2 * exact);
}

// What an update would make infinite is left as it is, with its moments; the rest is not.
TEST(adamw_leaves_what_would_not_stay_finite) {
  const int64_t n = 600;
  for (const Device& device : devices()) {
    for (const bool coded : {false, true}) {
      const auto backend = device.open(1);
      std::vector<float> start = random_array(1, {n}).values, grad(static_cast<size_t>(n), 1.0f);
      grad[3] = 3e38f;             // its square is infinite
      start[300] = 3.4e38f;        // moves past the largest float
      start[599] = std::nanf("");  // was no number before
      AdamWTensors t;
      t.value = to_device(*backend, {{n}, start});
      t.grad = to_device(*backend, {{n}, grad});
      t.m = coded ? Moment{backend->zeros({n}, DType::kU8), backend->zeros({3})} : Moment{backend->zeros({n}), {}};
      t.v = coded ? Moment{backend->zeros({n}, DType::kU8), backend->zeros({3})} : Moment{backend->zeros({n}), {}};
      AdamWStep s = step_number(1, -3e37f);  // upwards
      s.weight_decay = 0.0f;
      EXPECT_EQ(backend->adamw(s, t), 3);
      const auto got = to_vector(*backend, t.value);
      for (size_t i = 0; i < got.size(); ++i) {
        const bool held = i == 3 || i == 300 || i == 599;
        EXPECT_EQ(std::memcmp(&got[i], &start[i], 4) == 0, held);
        if (i != 599) EXPECT_TRUE(std::isfinite(got[i]));
      }
      const Tensor& moment = coded ? t.v.scales : t.v.values;
      for (const float x : to_vector(*backend, moment)) EXPECT_TRUE(std::isfinite(x) && x < 1.0f);
      for (const float g : to_vector(*backend, t.grad)) EXPECT_EQ(g, 0.0f);
    }
  }
}

// The largest number of bf16 is not rounded up to infinity, alone or as a master's copy.
TEST(adamw_keeps_halves_finite) {
  const int64_t n = 64;
  const float most = bf16_to_f32(0x7f7f);
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    const std::vector<float> start(static_cast<size_t>(n), most), grad(static_cast<size_t>(n), 1.0f);
    for (const bool has_master : {false, true}) {
      AdamWTensors t;
      t.value = has_master ? to_device(*backend, {{n}, start}) : halves(*backend, start);
      if (has_master) t.rounded = halves(*backend, start);
      t.grad = to_device(*backend, {{n}, grad});
      t.m = {backend->zeros({n}), {}};
      t.v = {backend->zeros({n}), {}};
      AdamWStep s = step_number(1, -1e36f);
      s.weight_decay = 0.0f;
      EXPECT_EQ(backend->adamw(s, t), n);
      for (const uint16_t bits : halves_of(*backend, has_master ? t.rounded : t.value)) EXPECT_EQ(bits, 0x7f7f);
    }
  }
}

TEST(adamw_rate_of_zero_changes_no_bit_and_moves_moments) {
  const std::vector<float> start{-0.0f, -0.0f, 1.5f, -2.0f, 1e-40f}, grad{1.0f, -1.0f, 2.0f, 3.0f, -4.0f};
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    AdamWTensors t;
    t.value = to_device(*backend, {{5}, start});
    t.grad = to_device(*backend, {{5}, grad});
    t.m = {backend->zeros({5}), {}};
    t.v = {backend->zeros({5}), {}};
    EXPECT_EQ(backend->adamw(step_number(1, 0.0f), t), 0);
    EXPECT_TRUE(same_bits(to_vector(*backend, t.value), start));
    const auto m = to_vector(*backend, t.m.values);
    for (size_t i = 0; i < m.size(); ++i) EXPECT_NEAR(m[i], 0.05f * grad[i], 1e-6);
  }
}

// A damaged state may bring any scale: nothing is read outside the tables.
TEST(adamw_bears_scales_that_are_no_numbers) {
  const auto backend = make_cpu_backend({1, ""});
  const int64_t n = 256;
  for (const float scale : {kInfinity, std::nanf(""), -1.0f, 0.0f}) {
    AdamWTensors t;
    t.value = backend->zeros({n});
    t.grad = to_device(*backend, random_array(1, {n}));
    std::vector<uint8_t> bytes(static_cast<size_t>(n));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
    const auto moment = [&] {
      Moment one{backend->empty({n}, DType::kU8), to_device(*backend, {{1}, {scale}})};
      backend->upload(one.values, bytes.data());
      return one;
    };
    t.m = moment();
    t.v = moment();
    backend->adamw(step_number(2), t);
    for (const float x : to_vector(*backend, t.value)) EXPECT_TRUE(std::isfinite(x));
  }
}

}  // namespace
}  // namespace vlmr1
