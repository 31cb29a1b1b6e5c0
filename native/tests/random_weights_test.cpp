// A new model's weights: their distribution, and that they are a function of the seed alone.
#include "models/random_weights.h"

#include <algorithm>
#include <cmath>

#include "io/files.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "tests/golden.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

std::string golden_config() { return read_text_file(golden_path("qwen2_5_vl_a/config.json")); }

std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  check(at != std::string::npos, ErrorCode::kState, "no ", from, " in the golden config");
  return text.replace(at, from.size(), to);
}

std::string written(const TemporaryFolder& folder, const RandomWeights& options) {
  write_random_weights(golden_config(), folder.path(), options, StopFlag());
  return read_text_file(folder.file("model.safetensors"));
}

double deviation(const SafetensorsFile& file, const std::string& name) {
  const StoredTensor& stored = file.get(name);
  std::vector<float> values(static_cast<size_t>(stored.numel()));
  read_f32(stored, values.data());
  double squares = 0;
  for (const float x : values) squares += double{x} * x;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

TEST(random_weights_load_as_the_model_that_the_config_describes) {
  const TemporaryFolder folder;
  RandomWeights options;
  options.max_shard_bytes = 50'000;
  const int64_t count = write_random_weights(golden_config(), folder.path(), options, StopFlag());
  write_text_file(folder.file("config.json"), golden_config());
  EXPECT_TRUE(file_exists(folder.file("model.safetensors.index.json")));
  const auto backend = make_cpu_backend({1, ""});
  const auto model = Model::load(*backend, folder.path(), LoadOptions());
  EXPECT_EQ(model->info().parameters, count);
  for (const Parameter& p : model->parameters().all()) {
    if (p.shape.rank() > 1) continue;
    std::vector<float> values(static_cast<size_t>(p.shape.numel()));
    backend->download(p.value, values.data());
    const float expected = p.name.ends_with(".bias") ? 0.0f : 1.0f;
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [&](float x) { return x == expected; }));
  }
}

TEST(random_weights_are_a_function_of_the_seed) {
  const TemporaryFolder a, b, c;
  RandomWeights options{7, SaveDType::kBF16, int64_t{1} << 40, 1};
  const std::string expected = written(a, options);
  options.threads = 3;
  EXPECT_TRUE(written(b, options) == expected);
  options.seed = 8;
  EXPECT_TRUE(written(c, options) != expected);
}

// transformers 5 writes the range into text_config, 4 at the top.
TEST(random_weights_have_the_range_of_the_config) {
  const std::string nested = "\"initializer_range\": 0.02,\n    \"intermediate_size\": 68";
  const std::string moved = with(golden_config(), nested, "\"intermediate_size\": 68");
  const struct {
    std::string config;
    double range;
  } cases[] = {
      {with(golden_config(), nested, "\"initializer_range\": 0.5, \"intermediate_size\": 68"), 0.5},
      {with(moved, "{", "{\"initializer_range\": 0.25,"), 0.25},
      {moved, 0.02},
  };
  for (const auto& c : cases) {
    const TemporaryFolder folder;
    write_random_weights(c.config, folder.path(), RandomWeights(), StopFlag());
    const SafetensorsFile file(folder.file("model.safetensors"));
    for (const char* name : {"model.embed_tokens.weight", "visual.patch_embed.proj.weight"})
      EXPECT_LE(std::abs(deviation(file, name) / c.range - 1), 0.05);
  }
  const TemporaryFolder folder;
  const std::string negative = with(moved, "{", "{\"initializer_range\": -1,");
  EXPECT_ERROR_WITH(ErrorCode::kConfig, "initializer_range: expected",
                    write_random_weights(negative, folder.path(), RandomWeights(), StopFlag()));
}

TEST(random_weights_that_are_interrupted_leave_no_file) {
  const TemporaryFolder folder;
  const int32_t stopped = 1;
  EXPECT_ERROR(ErrorCode::kAborted,
               write_random_weights(golden_config(), folder.file("new"), RandomWeights(), StopFlag(&stopped)));
  EXPECT_TRUE(!file_exists(folder.file("new/model.safetensors")));
}

}  // namespace
}  // namespace vlmr1
