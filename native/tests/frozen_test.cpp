// What is frozen costs nothing: no gradients, no backward work, and a picture is encoded once.
#include <algorithm>
#include <cmath>
#include <set>

#include "autograd/graph.h"
#include "models/feature_cache.h"
#include "ops/linear.h"
#include "optim/adamw.h"
#include "rl/objective.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

Objective sft(const GoldenCase& c) {
  Objective objective;
  objective.loss.type = LossType::kSft;
  objective.loss.total_tokens = static_cast<int64_t>(c.completion.size());
  return objective;
}

TEST(frozen_recompute_does_not_run_a_frozen_block_again) {
  const auto backend = make_cpu_backend({1, ""});
  const Tensor w = to_device(*backend, random_array(1, {8, 8}));
  Tensor dw = to_device(*backend, {{8, 8}, std::vector<float>(64, 0.0f)});
  const Variable trained(w, std::make_shared<GradSlot>(GradSlot{dw}));
  for (const bool frozen : {true, false}) {
    int runs = 0;
    const auto block = [&](Graph& g, const Variable& x) {
      ++runs;
      return ops::linear(g, x, frozen ? Variable(w) : trained, nullptr, nullptr);
    };
    Graph graph(*backend, true);
    const Variable middle = recompute(graph, Variable(to_device(*backend, random_array(2, {3, 8}))), block);
    EXPECT_EQ(middle.needs_grad(), !frozen);
    const Variable out = ops::linear(graph, middle, trained, nullptr, nullptr);
    graph.backward(out, to_device(*backend, random_array(3, {3, 8})));
    EXPECT_EQ(runs, frozen ? 1 : 2);
  }
}

TEST(frozen_parts_leave_the_gradients_of_the_others_as_they_are) {
  const std::set<Part> all{Part::kVision, Part::kMerger, Part::kLanguage};
  for (const auto& golden : golden_models()) {
    const GoldenCase c = GoldenCases(golden).get("two_images");
    ModelFixture full(golden);
    accumulate(*full.model, {c.group()}, sft(c), StopFlag());
    for (const std::set<Part>& frozen : {std::set<Part>{Part::kVision},
                                         {Part::kMerger},
                                         {Part::kLanguage},
                                         {Part::kVision, Part::kMerger},
                                         {Part::kVision, Part::kLanguage}}) {
      ModelFixture f(golden, 2, with_frozen(golden, frozen));
      EXPECT_LT(f.backend->memory_used(), full.backend->memory_used());
      // Twice: the second time with the features that were kept.
      for (int i = 0; i < 2; ++i) {
        f.model->parameters().zero_grad(*f.backend);
        accumulate(*f.model, {c.group()}, sft(c), StopFlag());
        for (const Parameter& p : f.model->parameters().all()) {
          EXPECT_EQ(p.trainable, frozen.count(p.part) == 0);
          EXPECT_EQ(static_cast<bool>(p.grad), p.trainable);
          if (!p.trainable) continue;
          const auto expected = to_vector(*full.backend, full.model->parameters().get(p.name).grad);
          EXPECT_TRUE(same_bits(to_vector(*f.backend, p.grad), expected));
        }
      }
    }
  }
}

// A run over rows with and without pictures has micro-batches that reach nothing of a trained merger.
TEST(frozen_language_takes_batches_without_pictures) {
  for (const auto& golden : golden_models()) {
    const GoldenCases cases(golden);
    const GoldenCase& pictures = cases.get("two_images");
    const GoldenCase& text = cases.get("text");
    for (const std::set<Part>& frozen : {std::set<Part>{Part::kLanguage}, {Part::kLanguage, Part::kVision}}) {
      ModelFixture f(golden, 2, with_frozen(golden, frozen));
      const auto accumulated = [&](const std::vector<const GoldenCase*>& batches) {
        f.model->parameters().zero_grad(*f.backend);
        std::vector<float> all;
        for (const GoldenCase* c : batches) {
          const AccumulateResult result = accumulate(*f.model, {c->group()}, sft(*c), StopFlag());
          EXPECT_TRUE(std::isfinite(result.loss) && result.loss > 0);
          EXPECT_EQ(result.log_probs[0][0].size(), c->completion.size());
        }
        for (const Parameter& p : f.model->parameters().all()) {
          const auto grad = p.trainable ? to_vector(*f.backend, p.grad) : std::vector<float>();
          all.insert(all.end(), grad.begin(), grad.end());
        }
        return all;
      };
      const auto nothing = accumulated({&text});
      EXPECT_TRUE(std::all_of(nothing.begin(), nothing.end(), [](float x) { return x == 0.0f; }));
      EXPECT_TRUE(same_bits(accumulated({&text, &pictures}), accumulated({&pictures})));
    }
  }
}

void replace_value(ModelFixture& f, const std::string& name, const Tensor& value) {
  f.model->parameters().get(name).value = value;
}

// What is kept does not ask the tower, which would answer otherwise by now; what is new does.
TEST(frozen_vision_is_asked_for_new_pictures_only) {
  const std::string patches = "visual.patch_embed.proj.weight";
  for (const auto& golden : golden_models()) {
    const GoldenCase c = GoldenCases(golden).get("two_images");
    const auto log_probs = [&](ModelFixture& f, const Group& group) {
      return score(*f.model, {group}, 1.0f, AdapterMode::Use::kOn, StopFlag()).log_probs[0][0];
    };
    ModelFixture f(golden, 1, LoadOptions());
    const auto expected = log_probs(f, c.group());
    const Tensor value = f.model->parameters().get(patches).value;
    replace_value(f, patches, f.backend->zeros(value.shape()));
    EXPECT_TRUE(same_bits(log_probs(f, c.group()), expected));
    Group changed = c.group();
    auto other = std::make_shared<Picture>(*changed.prompt.pictures[0]);
    other->pixel_values[5] += 1.0f;
    changed.prompt.pictures[0] = other;
    EXPECT_TRUE(!same_bits(log_probs(f, changed), expected));

    // One kept picture and one new one, and one picture under two addresses.
    replace_value(f, patches, value);
    other->pixel_values[5] += 1.0f;
    ModelFixture fresh(golden, 1, LoadOptions());
    EXPECT_TRUE(same_bits(log_probs(f, changed), log_probs(fresh, changed)));
    const GoldenCase single = GoldenCases(golden).get("one_image");
    Prompt twice = single.prompt;
    twice.tokens.insert(twice.tokens.end(), single.prompt.tokens.begin(), single.prompt.tokens.end());
    twice.pictures.push_back(single.prompt.pictures[0]);
    const auto shared = log_probs(f, {twice, {single.completion}});
    twice.pictures[1] = std::make_shared<Picture>(*twice.pictures[0]);
    ModelFixture again(golden, 1, LoadOptions());
    EXPECT_TRUE(same_bits(log_probs(again, {twice, {single.completion}}), shared));
  }
}

TEST(frozen_vision_keeps_a_picture_once) {
  const GoldenCases cases("qwen2_5_vl_a");
  const GoldenCase& c = cases.get("two_images");
  LoadOptions options;
  ModelFixture f("qwen2_5_vl_a", 1, options);
  const auto first = score(*f.model, {c.group()}, 1.0f, AdapterMode::Use::kOn, StopFlag());
  const size_t kept = f.backend->memory_used();
  // Pixels that a kept picture no longer reads: another object of the same content takes what is there.
  Group copy = c.group();
  for (auto& picture : copy.prompt.pictures) picture = std::make_shared<Picture>(*picture);
  const auto second = score(*f.model, {copy}, 1.0f, AdapterMode::Use::kOn, StopFlag());
  EXPECT_TRUE(same_bits(first.log_probs[0][0], second.log_probs[0][0]));
  EXPECT_EQ(f.backend->memory_used(), kept);
  auto other = std::make_shared<Picture>(*copy.prompt.pictures[0]);
  other->pixel_values[5] += 1.0f;
  copy.prompt.pictures[0] = other;
  const auto third = score(*f.model, {copy}, 1.0f, AdapterMode::Use::kOn, StopFlag());
  EXPECT_TRUE(!same_bits(first.log_probs[0][0], third.log_probs[0][0]));
  EXPECT_GT(f.backend->memory_used(), kept);
}

Picture picture_of(float first) {
  Picture picture;
  picture.grid = {1, 2, 2};
  picture.pixel_values = {first, 2.0f, 3.0f};
  return picture;
}

TEST(frozen_feature_cache_keeps_what_was_used_last) {
  const auto backend = make_cpu_backend({1, ""});
  const auto features = [&](float value) { return to_device(*backend, {{1, 16}, std::vector<float>(16, value)}); };
  FeatureCache cache(3 * 64);
  for (const float x : {1.0f, 2.0f, 3.0f}) cache.put(picture_of(x), features(x));
  EXPECT_TRUE(static_cast<bool>(cache.find(picture_of(1.0f))));
  cache.put(picture_of(4.0f), features(4.0f));
  EXPECT_TRUE(!cache.find(picture_of(2.0f)));
  for (const float x : {1.0f, 3.0f, 4.0f}) EXPECT_EQ(to_vector(*backend, cache.find(picture_of(x)))[0], x);
  EXPECT_EQ(cache.bytes(), size_t{3 * 64});
  cache.put(picture_of(5.0f), to_device(*backend, {{4, 16}, std::vector<float>(64, 0.0f)}));
  EXPECT_TRUE(!cache.find(picture_of(5.0f)));
  Picture turned = picture_of(1.0f);
  turned.grid = {1, 1, 4};
  EXPECT_TRUE(!cache.find(turned));
}

}  // namespace
}  // namespace vlmr1
