// Token log-probabilities against torch, filters and sampling against transformers.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/random.h"
#include "ops/rows.h"
#include "tests/golden.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Filters : SampleOptions {
  std::vector<int32_t> banned;
};

// Draws once per uniform number from the same logits.
std::vector<Sampled> draw(Backend& backend, const std::vector<float>& logits, const Filters& options,
                          const std::vector<double>& uniforms, const std::vector<int32_t>& seen = {}) {
  const int64_t v = static_cast<int64_t>(logits.size());
  Array rows{{static_cast<int64_t>(uniforms.size()), v}, {}, false};
  std::vector<SampleRow> samples;
  for (const double u : uniforms) {
    rows.values.insert(rows.values.end(), logits.begin(), logits.end());
    samples.push_back({options, u, seen.data(), static_cast<int64_t>(seen.size())});
  }
  std::vector<Sampled> out;
  backend.sample(to_device(backend, rows), options.banned, samples, out);
  return out;
}

// Evenly over [0, 1).
std::vector<double> grid(size_t count) {
  std::vector<double> uniforms;
  for (size_t i = 0; i < count; ++i) uniforms.push_back((static_cast<double>(i) + 0.5) / static_cast<double>(count));
  return uniforms;
}

TEST(sample_token_logp_and_entropy_equal_torch) {
  const Json golden = golden_json("logprob.json");
  const Json& g = golden.at("logprob");
  const auto& rows = g.at("logits").as_array();
  const auto tokens = int_list(g.at("tokens"));
  for (const Device& device : devices()) {
    const auto backend = device.open(1);
    for (const Json& result : g.at("results").as_array()) {
      const float temperature = static_cast<float>(result.at("temperature").as_double());
      for (size_t r = 0; r < rows.size(); ++r) {
        const auto logits = float_list(rows[r]);
        const Tensor z = to_device(*backend, {{1, static_cast<int64_t>(logits.size())}, logits, false});
        Tensor lse = backend->empty({1}), logp = backend->empty({1}), entropy = backend->empty({1});
        backend->token_logp(z, ops::upload_index(*backend, {tokens[r]}), temperature, lse, logp, &entropy);
        // Logits near 500 are spaced by 3e-5, and dividing them by the temperature costs as much.
        const double top = *std::max_element(logits.begin(), logits.end());
        const double allowed = std::max(2e-6, 2.5e-7 * top / temperature);
        EXPECT_NEAR(to_vector(*backend, logp)[0], result.at("logprobs").as_array()[r].as_double(), allowed);
        EXPECT_NEAR(to_vector(*backend, entropy)[0], result.at("entropies").as_array()[r].as_double(), allowed);
      }
    }
  }
}

Filters filter_options(const Json& s) {
  Filters o;
  o.temperature = static_cast<float>(s.double_or("temperature", 1.0));
  o.top_k = static_cast<int32_t>(s.int_or("top_k", 0));
  o.top_p = static_cast<float>(s.double_or("top_p", 1.0));
  o.min_p = static_cast<float>(s.double_or("min_p", 0.0));
  o.repetition_penalty = static_cast<float>(s.double_or("repetition_penalty", 1.0));
  if (const Json* banned = s.find("suppress_tokens")) o.banned = int_list(*banned);
  return o;
}

// A token's uniform numbers are one interval as long as its probability: on a grid it is met that often, give or take
// one. So the grid shows the set, and its probabilities.
void expect_distribution(Backend& backend, const std::vector<float>& logits, const std::vector<int32_t>& seen,
                         const Json& c) {
  const auto kept = int_list(c.at("kept"));
  const auto& logprobs = c.at("logprobs").as_array();
  const size_t count = 20'000;
  std::map<int32_t, int64_t> met;
  std::map<int32_t, float> logp;
  for (const Sampled& s : draw(backend, logits, filter_options(c.at("settings")), grid(count), seen)) {
    ++met[s.token];
    logp[s.token] = s.logp;
  }
  for (const auto& [token, times] : met)
    if (!std::count(kept.begin(), kept.end(), token)) VLMR1_REPORT("token " + show(token) + " should be filtered out");
  for (size_t i = 0; i < kept.size(); ++i) {
    const double expected = std::exp(logprobs[i].as_double()) * static_cast<double>(count);
    EXPECT_NEAR(met[kept[i]], expected, 1.01);
    if (met[kept[i]] > 0) EXPECT_NEAR(logp[kept[i]], logprobs[i].as_double(), 3e-6);
    else EXPECT_LT(expected, 1.01);
  }
}

TEST(sample_filters_equal_transformers) {
  const auto backend = make_cpu_backend({2, ""});
  const Json golden = golden_json("logprob.json");
  const Json& g = golden.at("filters");
  const auto seen = int_list(g.at("seen"));
  for (const Json& c : g.at("cases").as_array()) expect_distribution(*backend, float_list(g.at("logits")), seen, c);
  const Json& ties = g.at("ties");
  for (const Json& c : ties.at("cases").as_array())
    expect_distribution(*backend, float_list(ties.at("logits")), seen, c);
}

TEST(sample_is_the_same_on_every_device) {
  const auto logits = random_array(1, {300}, 2.0).values;
  const Filters options{0.8f, 100, 0.95f, 0.001f, 1.0f, {}};
  const auto expected = draw(*devices()[0].open(1), logits, options, grid(50));
  for (const Device& device : devices()) {
    const auto got = draw(*device.open(3), logits, options, grid(50));
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].token, expected[i].token);
      EXPECT_EQ(got[i].logp, expected[i].logp);
    }
  }
}

// What the filters leave, in the order of transformers, plainly and in double; 0 for tokens that are filtered out.
std::vector<double> plain_distribution(const std::vector<float>& logits, const Filters& o) {
  std::vector<size_t> order;
  std::vector<double> p(logits.size());
  for (size_t i = 0; i < p.size(); ++i)
    if (!std::count(o.banned.begin(), o.banned.end(), static_cast<int32_t>(i))) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  const double top = logits[order[0]];
  const auto weight = [&](size_t i) { return std::exp((logits[i] - top) / o.temperature); };
  if (o.top_k > 0) {
    size_t kept = std::min(order.size(), static_cast<size_t>(o.top_k));
    while (kept < order.size() && logits[order[kept]] == logits[order[kept - 1]]) ++kept;
    order.resize(kept);
  }
  double total = 0.0, above = 0.0;
  for (const size_t i : order) total += weight(i);
  size_t kept = 0;
  while (kept < order.size() && (kept == 0 || above < o.top_p * total)) above += weight(order[kept++]);
  if (o.top_p < 1.0f) order.resize(kept);
  total = 0.0;
  for (const size_t i : order) total += p[i] = weight(i) >= o.min_p ? weight(i) : 0.0;
  for (double& value : p) value /= total;
  return p;
}

// Vocabularies of many blocks: each number draws the token whose interval, by id, holds it.
TEST(sample_of_a_large_vocabulary_inverts_the_distribution) {
  const auto backend = make_cpu_backend({2, ""});
  auto logits = random_array(3, {9'001}, 3.0).values;
  for (size_t i = 0; i < 40; ++i) logits[i * 223 + 7] = 11.0f;  // ties where filters cut
  for (const size_t i : {0, 5, 300, 9'000}) logits[i] = i == 5 ? std::nanf("") : -kInfinity;
  std::vector<Filters> all(12);
  for (size_t i = 0; i < all.size(); ++i) all[i].banned = {1, 230, 8'999};
  all[1].top_k = 20;
  all[2].top_k = 500;
  all[3].top_p = 0.9f;
  all[4].top_p = 0.05f;
  all[5].min_p = 0.3f;
  all[6].min_p = 1e-6f;
  all[7] = {0.7f, 100, 0.8f, 0.05f, 1.0f, {1, 230}};
  all[8] = {3.0f, 0, 0.99f, 0.001f, 1.0f, {}};
  all[9].temperature = 0.1f;
  all[10].top_k = 1;
  all[11] = {50.0f, 0, 0.97f, 0.0f, 1.0f, {}};
  auto numbers = logits;
  numbers[5] = -kInfinity;
  for (const Filters& options : all) {
    const auto p = plain_distribution(numbers, options);
    const auto uniforms = grid(97);
    const auto got = draw(*backend, logits, options, uniforms);
    for (size_t n = 0; n < got.size(); ++n) {
      const size_t token = static_cast<size_t>(got[n].token);
      double below = 0.0;
      for (size_t i = 0; i < token; ++i) below += p[i];
      EXPECT_LE(below - 1e-6, uniforms[n]);
      EXPECT_LE(uniforms[n], below + p[token] + 1e-6);
      EXPECT_NEAR(got[n].logp, std::log(p[token]), 2e-6);
    }
  }
}

TEST(sample_of_a_large_vocabulary_is_the_same_everywhere) {
  const auto logits = random_array(1, {4'099}, 2.0).values;
  for (const Filters& options :
       {Filters{}, Filters{0.7f, 0, 0.9f, 0.0f, 1.3f, {7}}, Filters{0.0f, 0, 1.0f, 0.0f, 1.0f, {}}}) {
    const std::vector<int32_t> seen{3, 9, 3};
    const auto expected = draw(*devices()[0].open(1), logits, options, grid(40), seen);
    for (const Device& device : devices()) {
      const auto got = draw(*device.open(3), logits, options, grid(40), seen);
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].token, expected[i].token);
        EXPECT_EQ(got[i].logp, expected[i].logp);
      }
    }
  }
}

// Rows with options of their own, drawn together and each alone.
TEST(sample_rows_do_not_see_the_options_of_others) {
  std::vector<SampleOptions> options(6);
  options[0].temperature = 0.0f;
  options[1] = {0.7f, 0, 0.9f, 0.0f, 1.3f};
  options[2] = {1.5f, 40, 1.0f, 0.01f, 1.0f};
  options[3].repetition_penalty = 0.5f;
  options[4].top_k = 1;
  const std::vector<int32_t> seen{3, 9, 3};
  const auto logits = random_array(4, {12, 4'099}, 2.0);
  for (const Device& device : devices()) {
    const auto backend = device.open(3);
    const Tensor z = to_device(*backend, logits);
    std::vector<SampleRow> rows;
    for (int64_t n = 0; n < 12; ++n)
      rows.push_back({options[static_cast<size_t>(n) % options.size()], 0.08 * static_cast<double>(n), seen.data(), 3});
    std::vector<Sampled> together, alone;
    backend->sample(z, {7}, rows, together);
    for (int64_t n = 0; n < 12; ++n) {
      backend->sample(z.rows(n, n + 1), {7}, {rows[static_cast<size_t>(n)]}, alone);
      EXPECT_EQ(together[static_cast<size_t>(n)].token, alone[0].token);
      EXPECT_EQ(together[static_cast<size_t>(n)].logp, alone[0].logp);
    }
  }
}

TEST(sample_frequencies_follow_the_probabilities) {
  const auto backend = make_cpu_backend({2, ""});
  const auto logits = random_array(2, {24}, 1.2).values;
  std::vector<double> uniforms;
  for (uint64_t i = 0; i < 40'000; ++i) uniforms.push_back(random_uniform(17, i % 8, i / 8, 3));
  std::vector<double> met(logits.size());
  for (const Sampled& s : draw(*backend, logits, {}, uniforms)) met[s.token] += 1.0;
  double total = 0.0;
  for (const float z : logits) total += std::exp(double{z});
  double chi_squared = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double expected = std::exp(double{logits[i]}) / total * static_cast<double>(uniforms.size());
    chi_squared += (met[i] - expected) * (met[i] - expected) / expected;
  }
  // 23 degrees of freedom: 49.7 is exceeded once in a thousand; far below would be suspicious too.
  EXPECT_LT(chi_squared, 49.7);
  EXPECT_GT(chi_squared, 7.0);
}

TEST(sample_banned_tokens_never_come) {
  const auto backend = make_cpu_backend({1, ""});
  std::vector<float> logits(40, 0.0f);
  logits[7] = 50.0f;
  logits[39] = 30.0f;
  Filters options;
  options.banned = {7, 39, 0};
  std::map<int32_t, int> met;
  for (const Sampled& s : draw(*backend, logits, options, grid(4000))) ++met[s.token];
  EXPECT_EQ(met.size(), 37u);
  for (const int32_t token : options.banned) EXPECT_EQ(met.count(token), 0u);
  options.temperature = 0.0f;
  EXPECT_EQ(draw(*backend, logits, options, {0.5})[0].token, 1);
  EXPECT_NEAR(draw(*backend, logits, options, {0.5})[0].logp, -std::log(37.0), 1e-6);
}

TEST(sample_rows_that_leave_nothing_say_so) {
  const auto backend = make_cpu_backend({1, ""});
  for (const float temperature : {1.0f, 0.0f}) {
    Filters options;
    options.temperature = temperature;
    options.top_p = 0.9f;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(draw(*backend, {nan, nan, -kInfinity}, options, {0.3})[0].token, -1);
    // A logit without bounds has no distribution either.
    EXPECT_EQ(draw(*backend, {1.0f, kInfinity, 0.0f}, options, {0.3})[0].token, -1);
    options.banned = {0, 1, 2};
    EXPECT_EQ(draw(*backend, {1.0f, 2.0f, 3.0f}, options, {0.3})[0].token, -1);
    options.banned = {};
    EXPECT_EQ(draw(*backend, {1.0f, -kInfinity, -kInfinity}, options, {0.3})[0].token, 0);
  }
}

TEST(sample_at_the_ends_of_the_uniform_numbers) {
  const auto backend = make_cpu_backend({1, ""});
  const std::vector<float> logits{-kInfinity, 0.0f, 1.0f, 2.0f, -kInfinity};
  const auto got = draw(*backend, logits, {}, {0.0, 0.999999, 1.0 - 0x1p-53});
  EXPECT_EQ(got[0].token, 1);
  EXPECT_EQ(got[1].token, 3);
  EXPECT_EQ(got[2].token, 3);
  // Ten tenths add up to less than the last number; a token that cannot come must not step in.
  std::vector<float> tenths(11, 0.0f);
  tenths[10] = -2000.0f;
  EXPECT_EQ(draw(*backend, tenths, {}, {1.0 - 0x1p-53})[0].token, 9);
  // A token of hardly any probability has an interval all the same.
  EXPECT_EQ(draw(*backend, {-14.0f, 0.0f}, {}, {0.0})[0].token, 0);
  EXPECT_EQ(draw(*backend, {-14.0f, 0.0f}, {}, {1e-5})[0].token, 1);
}

TEST(sample_greedy_takes_the_first_of_the_best) {
  const auto backend = make_cpu_backend({1, ""});
  Filters greedy;
  greedy.temperature = 0.0f;
  const auto got = draw(*backend, {1.0f, 5.0f, 5.0f, 2.0f}, greedy, {0.99});
  EXPECT_EQ(got[0].token, 1);
  const double total = std::exp(1.0) + 2 * std::exp(5.0) + std::exp(2.0);
  EXPECT_NEAR(got[0].logp, 5.0 - std::log(total), 1e-6);
  greedy.repetition_penalty = 2.0f;
  EXPECT_EQ(draw(*backend, {1.0f, 5.0f, 5.0f, 2.0f}, greedy, {0.99}, {1, 1})[0].token, 2);
}

// Temperatures so small that logits overflow when divided: the best token, no NaN, no crash.
TEST(sample_with_hardly_any_temperature) {
  const auto backend = make_cpu_backend({1, ""});
  std::vector<float> logits(64, 0.0f);
  logits[5] = 1.5f;
  logits[9] = -2.0f;
  for (const float temperature : {1e-3f, 1e-37f, 1e-39f, 1e-45f}) {
    Filters options;
    options.temperature = temperature;
    options.top_p = 0.9f;
    const Sampled got = draw(*backend, logits, options, {0.7})[0];
    EXPECT_EQ(got.token, 5);
    EXPECT_NEAR(got.logp, 0.0, 1e-6);
  }
}

}  // namespace
}  // namespace vlmr1
