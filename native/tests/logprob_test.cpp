// The gradient of token log-probabilities and entropies: torch's, finite differences, the same bits.
#include "ops/logprob.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "ops/rows.h"
#include "tests/golden.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/plain.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What token_logp_grad leaves in the place of logits [rows, v].
std::vector<float> gradient_of(Backend& backend, const Array& logits, const std::vector<int32_t>& targets,
                               float temperature, const Array& dlogp, const Array* dentropy) {
  const int64_t rows = logits.shape[0];
  Tensor z = to_device(backend, logits);
  const Tensor target = ops::upload_index(backend, targets);
  Tensor lse = backend.empty({rows}), logp = backend.empty({rows}), entropy = backend.empty({rows});
  backend.token_logp(z, target, temperature, lse, logp, &entropy);
  EntropyGrad grad;
  if (dentropy) grad = {entropy, to_device(backend, *dentropy)};
  backend.token_logp_grad(target, lse, to_device(backend, dlogp), dentropy ? &grad : nullptr, temperature, z);
  return to_vector(backend, z);
}

TEST(logprob_rows_have_temperatures_of_their_own) {
  const std::vector<float> temperatures{1.0f, 0.3f, 2.0f, 1e-4f, 0.3f};
  const std::vector<int32_t> targets{5, 0, 299, 7, 8};
  for (const Device& device : devices()) {
    const auto backend = device.open(3);
    const Tensor z = to_device(*backend, random_array(6, {5, 300}, 2.0));
    const Tensor target = ops::upload_index(*backend, targets);
    const auto log_probs = [&](int64_t begin, int64_t end, const Temperatures& of) {
      Tensor lse = backend->empty({end - begin}), logp = backend->empty({end - begin});
      backend->token_logp(z.rows(begin, end), target.rows(begin, end), of, lse, logp, nullptr);
      return to_vector(*backend, logp);
    };
    const auto together = log_probs(0, 5, std::span<const float>(temperatures));
    for (size_t n = 0; n < 5; ++n) {
      const auto row = static_cast<int64_t>(n);
      EXPECT_TRUE(same_bits(log_probs(row, row + 1, temperatures[n]), {&together[n], 1}));
    }
  }
}

TEST(logprob_gradient_equals_torch) {
  const Json golden = golden_json("logprob.json");
  const Json& g = golden.at("logprob");
  const auto tokens = int_list(g.at("tokens"));
  const auto dlogp = float_list(g.at("dlogp")), dentropy = float_list(g.at("dentropy"));
  double worst = 0.0;
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    for (const Json& result : g.at("results").as_array()) {
      const float temperature = static_cast<float>(result.at("temperature").as_double());
      for (size_t r = 0; r < tokens.size(); ++r) {
        const auto logits = float_list(g.at("logits").as_array()[r]);
        const auto expected = float_list(result.at("gradient").as_array()[r]);
        const Array slope{{1}, {dentropy[r]}, false};
        const Array row{{1, static_cast<int64_t>(logits.size())}, logits, false};
        const auto got = gradient_of(*backend, row, {tokens[r]}, temperature, {{1}, {dlogp[r]}, false}, &slope);
        // Logits near 500 are spaced by 3e-5, and dividing them by the temperature costs as much.
        const double top = *std::max_element(logits.begin(), logits.end());
        const double error = max_absolute_error(got, expected);
        EXPECT_LE(error, std::max(2e-6, 2.5e-7 * top / temperature));
        if (top < 400) worst = std::max(worst, error);
      }
    }
  }
  std::printf("  gradient of log-probability and entropy: largest difference from torch %.1e\n", worst);
}

Doubles plain_gradient(const Doubles& z, const std::vector<int32_t>& targets, double temperature, const Doubles& dlogp,
                       const Doubles& dentropy) {
  const size_t rows = targets.size(), v = z.size() / rows;
  const plain::LogProbs scores = plain::log_probs(z, targets, temperature);
  Doubles out(z.size());
  for (size_t n = 0; n < rows; ++n) {
    const double lse = z[n * v + targets[n]] / temperature - scores.logp[n];
    for (size_t i = 0; i < v; ++i) {
      const double logp = z[n * v + i] / temperature - lse, p = std::exp(logp);
      const double chosen = static_cast<int32_t>(i) == targets[n] ? 1.0 : 0.0;
      out[n * v + i] =
          (dlogp[n] * (chosen - p) - (p > 0 ? dentropy[n] * p * (logp + scores.entropy[n]) : 0.0)) / temperature;
    }
  }
  return out;
}

TEST(kernels_token_logp_grad) {
  for (const int64_t v : {1, 2, 16, 37, 320, 5003}) {
    const std::vector<int32_t> targets{0, static_cast<int32_t>(v - 1), static_cast<int32_t>(v / 2)};
    for (const bool bonus : {false, true}) {
      for (const float temperature : {1.0f, 0.7f, 2.5f}) {
        check_kernel({bonus ? "token_logp_grad with entropy" : "token_logp_grad",
                      {random_array(1, {3, v}, 3.0), random_array(2, {3}), random_array(3, {3})},
                      [=](Backend& b, std::vector<Tensor>& t) {
                        const Tensor target = ops::upload_index(b, targets);
                        Tensor lse = b.empty({3}), logp = b.empty({3});
                        EntropyGrad entropy{b.empty({3}), t[2]};
                        b.token_logp(t[0], target, temperature, lse, logp, &entropy.entropy);
                        b.token_logp_grad(target, lse, t[1], bonus ? &entropy : nullptr, temperature, t[0]);
                      },
                      [=](std::vector<Doubles>& a) {
                        a[0] = plain_gradient(a[0], targets, temperature, a[1], bonus ? a[2] : Doubles(3, 0.0));
                      },
                      1e-5});
      }
    }
  }
}

// Of a banned token, whose logit is minus infinity.
TEST(logprob_gradient_of_what_cannot_be_drawn_is_zero) {
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    Array logits = random_array(1, {2, 37}, 2.0);
    logits.values[5] = logits.values[36] = logits.values[37 + 20] = -kInfinity;
    const Array slope = random_array(2, {2}), bonus = random_array(3, {2});
    const auto got = gradient_of(*backend, logits, {3, 3}, 0.8f, slope, &bonus);
    for (const size_t i : {5, 36, 37 + 20}) EXPECT_EQ(got[i], 0.0f);
    // The plain reference takes no infinities; e^-10000 is 0 as well.
    for (float& z : logits.values) z = std::max(z, -1e4f);
    const Doubles z = to_double(logits.values);
    const Doubles expected = plain_gradient(z, {3, 3}, 0.8f, to_double(slope.values), to_double(bonus.values));
    EXPECT_LE(relative_error(got, expected), 1e-5);
  }
}

TEST(logprob_gradient_without_a_bonus_keeps_its_bits) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    const Array logits = random_array(1, {5, 333}, 2.0), slope = random_array(2, {5});
    const Array none{{5}, std::vector<float>(5, 0.0f), false};
    const std::vector<int32_t> targets{0, 1, 100, 332, 7};
    EXPECT_TRUE(same_bits(gradient_of(*backend, logits, targets, 0.7f, slope, nullptr),
                          gradient_of(*backend, logits, targets, 0.7f, slope, &none)));
  }
}

// -- The op.

OpCase entropy_case(int64_t rows, int64_t e, int64_t vocab, float temperature, int64_t chunk) {
  std::vector<int32_t> targets;
  for (int64_t n = 0; n < rows; ++n) targets.push_back(static_cast<int32_t>(random_bits(9, n, 0, 0) % vocab));
  OpCase c;
  c.name = "entropy of head_log_prob " + Shape{rows, e, vocab}.str() + " chunks of " + show(chunk);
  c.inputs = {random_array(1, {rows, e}), random_parameter(2, {vocab, e}, 0.5)};
  c.op = [targets, temperature, chunk](Graph& graph, const std::vector<Variable>& in) {
    return ops::head_log_prob(graph, in[0], in[1], targets, temperature, chunk).entropy;
  };
  c.reference = [targets, temperature, rows, vocab](const std::vector<Doubles>& in) {
    return plain::log_probs(plain::linear(in[0], in[1], nullptr, nullptr, rows, vocab), targets, temperature).entropy;
  };
  c.elements = 6;
  return c;
}

TEST(ops_entropy_of_head_log_prob) {
  check_op(entropy_case(1, 5, 3, 1.0f, 0));
  check_op(entropy_case(7, 24, 37, 0.7f, 3));
  check_op(entropy_case(9, 16, 320, 1.6f, 4));
  check_op(entropy_case(10, 40, 515, 1.0f, 0));
}

struct HeadGradients {
  std::vector<float> dh, dw;
};

HeadGradients head_gradients(Backend& backend, int64_t chunk, float log_prob_slope, float entropy_slope) {
  constexpr int64_t kRows = 23;
  std::vector<int32_t> targets;
  for (int32_t n = 0; n < kRows; ++n) targets.push_back(n * 13 % 301);
  Graph graph(backend, true);
  const Variable h(to_device(backend, random_array(1, {kRows, 20})), std::make_shared<GradSlot>());
  const Variable w(to_device(backend, random_array(2, {301, 20})), std::make_shared<GradSlot>());
  w.slot()->grad = backend.zeros({301, 20});
  const ops::HeadLogProb out = ops::head_log_prob(graph, h, w, targets, 0.8f, chunk);
  const auto seed = [&](uint64_t stream, float slope) {
    return to_device(backend, random_array(stream, {kRows}, slope));
  };
  if (entropy_slope != 0) graph.accumulate(out.entropy.slot(), seed(5, entropy_slope));
  graph.backward(out.logp, seed(4, log_prob_slope));
  return {to_vector(backend, h.slot()->grad), to_vector(backend, w.slot()->grad)};
}

TEST(logprob_gradients_of_both_add_up) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    const HeadGradients both = head_gradients(*backend, 0, 1.0f, 0.5f);
    HeadGradients sum = head_gradients(*backend, 0, 1.0f, 0.0f);
    const HeadGradients more = head_gradients(*backend, 0, 0.0f, 0.5f);
    for (size_t i = 0; i < sum.dh.size(); ++i) sum.dh[i] += more.dh[i];
    for (size_t i = 0; i < sum.dw.size(); ++i) sum.dw[i] += more.dw[i];
    EXPECT_LE(max_relative_error(both.dh, sum.dh), 3e-6);
    EXPECT_LE(max_relative_error(both.dw, sum.dw), 3e-6);
  }
}

TEST(bits_entropy_gradient_depends_on_neither_chunks_nor_threads) {
  for (const Device& device : devices()) {
    const HeadGradients all = head_gradients(*device.open(1), 0, 1.0f, 0.5f);
    for (const int threads : {1, 3}) {
      for (const int64_t chunk : {1, 7, 14, 22, 100}) {
        const HeadGradients part = head_gradients(*device.open(threads), chunk, 1.0f, 0.5f);
        EXPECT_TRUE(same_bits(part.dh, all.dh));
        EXPECT_TRUE(same_bits(part.dw, all.dw));
      }
    }
  }
}

}  // namespace
}  // namespace vlmr1
