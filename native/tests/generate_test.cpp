// Continuous batching: whatever is under way at once, completions keep their bits, and memory goes back at once.
#include "rl/generate.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "io/files.h"
#include "tests/allocations.h"
#include "tests/decoder_fixture.h"
#include "tests/model_fixture.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

using Completions = std::vector<std::vector<Completion>>;

const std::string kFolder = "qwen2_5_vl_a";

void expect_same_bits(const Completions& got, const Completions& expected, const std::string& which) {
  REQUIRE(got.size() == expected.size());
  for (size_t p = 0; p < got.size(); ++p) {
    REQUIRE(got[p].size() == expected[p].size());
    for (size_t i = 0; i < got[p].size(); ++i) {
      const Completion& a = got[p][i];
      const Completion& b = expected[p][i];
      const bool same = a.tokens == b.tokens && same_bits(a.log_probs, b.log_probs) &&
                        same_bits(a.sampling_log_probs, b.sampling_log_probs) && a.stopped == b.stopped;
      if (!same) VLMR1_REPORT(which + ": prompt " + show(p) + ", completion " + show(i) + " has other bits");
    }
  }
}

GenerateOptions options_of(int32_t n, const SamplingOptions& sampling, int32_t max_rows) {
  GenerateOptions options{n, sampling, 17, 40};
  options.max_rows = max_rows;
  return options;
}

TEST(generate_limit_changes_no_bit) {
  for (const auto& folder : golden_models()) {
    const std::vector<Prompt> prompts = golden_prompts(folder);
    ModelFixture f(folder, 1);
    ModelFixture other(folder, 3);
    const int32_t n = 4;
    const Completions all = generate(*f.model, prompts, options_of(n, random_lengths(30), 0), StopFlag(), nullptr);
    for (const int32_t limit : {1, 3, n, n + 1, 2 * n, 1000}) {
      const GenerateOptions options = options_of(n, random_lengths(30), limit);
      const std::string which = folder + ", " + show(limit) + " at once";
      expect_same_bits(generate(*f.model, prompts, options, StopFlag(), nullptr), all, which);
      expect_same_bits(generate(*other.model, prompts, options, StopFlag(), nullptr), all, which + ", three threads");
    }
  }
}

TEST(generate_limit_changes_no_bit_of_any_way_of_sampling) {
  const std::vector<Prompt> prompts = golden_prompts(kFolder);
  ModelFixture f(kFolder);
  std::vector<SamplingOptions> ways(5, random_lengths(20));
  ways[0].top_p = 0.7f;
  ways[1].top_k = 9;
  ways[1].min_p = 0.05f;
  ways[2].repetition_penalty = 1.4f;
  ways[3].temperature = 0;
  ways[4].max_new_tokens = 1;
  for (size_t way = 0; way < ways.size(); ++way) {
    const Completions all = generate(*f.model, prompts, options_of(3, ways[way], 0), StopFlag(), nullptr);
    for (const int32_t limit : {1, 2, 5})
      expect_same_bits(generate(*f.model, prompts, options_of(3, ways[way], limit), StopFlag(), nullptr), all,
                       "way " + show(way) + ", " + show(limit) + " at once");
  }
}

TEST(generate_keeps_the_limit_and_fills_it) {
  const std::vector<Prompt> prompts = golden_prompts(kFolder);
  ModelFixture f(kFolder);
  const int32_t n = 7;
  const int64_t total = n * static_cast<int64_t>(prompts.size());
  for (const int32_t limit : {1, 5, 9}) {
    int64_t finished = 0, tokens = 0;
    const auto watch = [&](const GenerateProgress& progress) {
      const int64_t under_way = static_cast<int64_t>(progress.news.size());
      EXPECT_EQ(under_way, std::min<int64_t>(limit, total - finished));
      EXPECT_EQ(progress.total, total);
      tokens += under_way;
      EXPECT_EQ(progress.tokens, tokens);
      finished = progress.finished;
    };
    const Completions out = generate(*f.model, prompts, options_of(n, random_lengths(25), limit), StopFlag(), watch);
    EXPECT_EQ(finished, total);
    for (const auto& completions : out)
      for (const Completion& c : completions) tokens -= static_cast<int64_t>(c.tokens.size());
    EXPECT_EQ(tokens, 0);
  }
}

// What the cache holds between two passes: nothing else stays from one to the next.
struct CacheUse {
  size_t most = 0;
  std::vector<size_t> by_step;
};

CacheUse cache_use(ModelFixture& f, const std::vector<Prompt>& prompts, const GenerateOptions& options) {
  generate(*f.model, prompts, options, StopFlag(), nullptr);  // packs weights
  CacheUse use;
  const size_t before = f.backend->memory_used();
  generate(*f.model, prompts, options, StopFlag(), [&](const GenerateProgress&) {
    use.by_step.push_back(f.backend->memory_used() - before);
    use.most = std::max(use.most, use.by_step.back());
  });
  EXPECT_EQ(f.backend->memory_used(), before);
  return use;
}

TEST(generate_limit_bounds_the_cache) {
  ModelFixture f(kFolder);
  const std::vector<Prompt> prompts(6, GoldenCases(kFolder).get("text").prompt);
  SamplingOptions full;
  full.max_new_tokens = 70;
  const size_t all = cache_use(f, prompts, options_of(8, full, 0)).most;
  const size_t two_groups = cache_use(f, prompts, options_of(8, full, 16)).most;
  EXPECT_LT(two_groups, all * 2 / 5);
  EXPECT_LT(cache_use(f, prompts, options_of(8, full, 1)).most, two_groups / 8);

  f.backend->reset_memory_peak();
  generate(*f.model, prompts, options_of(8, full, 0), StopFlag(), nullptr);
  const MemoryUse unlimited = f.backend->memory().peak_use;
  f.backend->reset_memory_peak();
  generate(*f.model, prompts, options_of(8, full, 8), StopFlag(), nullptr);
  EXPECT_LT(f.backend->memory().peak_use.of(MemoryKind::kKvCache), unlimited.of(MemoryKind::kKvCache) / 3);
}

TEST(generate_gives_back_what_has_ended) {
  ModelFixture f(kFolder);
  const std::vector<Prompt> prompts(4, GoldenCases(kFolder).get("text").prompt);
  // Without a limit they begin together, and end one by one.
  const SamplingOptions lengths = random_lengths(60);
  const GenerateOptions options = options_of(6, lengths, 0);
  const Completions out = generate(*f.model, prompts, options, StopFlag(), nullptr);
  const CacheUse use = cache_use(f, prompts, options);
  const size_t prompt = cache_use(f, {prompts[0]}, options_of(1, lengths, 1)).by_step.front();
  const size_t completion = cache_use(f, {prompts[0]}, options_of(1, lengths, 1)).most - prompt;
  EXPECT_GT(completion, 0u);
  for (size_t step = 0; step < use.by_step.size(); ++step) {
    size_t expected = 0;
    for (const auto& completions : out) {
      const auto longer = std::count_if(completions.begin(), completions.end(),
                                        [&](const Completion& c) { return c.tokens.size() > step + 1; });
      if (longer > 0) expected += prompt;
      if (step > 0) expected += static_cast<size_t>(longer) * completion;
    }
    EXPECT_EQ(use.by_step[step], expected);
  }
}

TEST(generate_ends_early_with_nothing_left) {
  ModelFixture f(kFolder);
  const std::vector<Prompt> prompts = golden_prompts(kFolder);
  generate(*f.model, prompts, options_of(2, random_lengths(8), 3), StopFlag(), nullptr);
  const size_t before = f.backend->memory_used();
  int32_t word = 0;
  const auto raise = [&](const GenerateProgress& progress) { word = progress.finished > 2 ? 1 : 0; };
  EXPECT_ERROR(ErrorCode::kAborted,
               generate(*f.model, prompts, options_of(2, random_lengths(8), 3), StopFlag(&word), raise));
  EXPECT_EQ(f.backend->memory_used(), before);
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "max_rows: expected 0 (no limit) or more, got -1",
                    generate(*f.model, prompts, options_of(2, random_lengths(8), -1), StopFlag(), nullptr));
}

// What a step asks of the heap: an object per tensor, and what kernels want for themselves. Nothing grows with the
// tokens that are there.
TEST(generate_steps_allocate_alike) {
  ModelFixture f(kFolder, 1);
  const std::vector<Prompt> prompts(2, GoldenCases(kFolder).get("text").prompt);
  SamplingOptions sampling;
  sampling.max_new_tokens = 60;
  std::vector<int64_t> by_step;
  by_step.reserve(60);
  const auto measure = [&] {
    by_step.clear();
    int64_t before = allocations();
    generate(*f.model, prompts, options_of(4, sampling, 0), StopFlag(), [&](const GenerateProgress&) {
      by_step.push_back(allocations() - before);
      before = allocations();
    });
  };
  measure();  // the pool's lists grow
  measure();
  for (size_t step = 3; step < by_step.size(); ++step) EXPECT_LE(by_step[step], by_step[2]);
  std::printf("  %lld allocations in a step of two layers\n", static_cast<long long>(by_step[2]));
  EXPECT_LE(by_step[2], 150);
}

// A dry run knows no lengths: it needs at least what any lengths need.
TEST(generate_dry_run_with_a_limit_is_an_upper_bound) {
  const std::vector<Prompt> prompts = golden_prompts(kFolder);
  ModelFixture real(kFolder);
  const auto dry_backend = make_cpu_backend({2, "", true});
  const Json config = Json::parse(read_text_file(golden_path(kFolder) + "/config.json"), "config.json");
  const auto dry = Model::reserve(*dry_backend, config, full_training(), DType::kF32);
  const auto peak = [&](Model& model, const GenerateOptions& options) {
    Backend& backend = model.backend();
    generate(model, prompts, options, StopFlag(), nullptr);
    backend.reset_memory_peak();
    generate(model, prompts, options, StopFlag(), nullptr);
    return backend.memory().peak;
  };
  for (const int32_t limit : {1, 4, 6, 13}) {
    const size_t bound = peak(*dry, options_of(5, random_lengths(90), limit));
    SamplingOptions longest;
    longest.max_new_tokens = 90;
    EXPECT_LE(peak(*real.model, options_of(5, longest, limit)), bound);
    EXPECT_LT(bound, peak(*dry, options_of(5, longest, 0)));
    for (uint64_t seed = 0; seed < 6; ++seed) {
      GenerateOptions options = options_of(5, random_lengths(90), limit);
      options.seed = seed;
      options.sampling.stop_tokens.resize(static_cast<size_t>(1 + seed));
      EXPECT_LE(peak(*real.model, options), bound);
    }
  }
}

}  // namespace
}  // namespace vlmr1
