// Whole models against transformers: positions, picture features, logits, gradients of every parameter, one AdamW step,
// greedy generation.
#include "models/qwen_vl/model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "models/batching.h"
#include "nn/layers.h"
#include "ops/linear.h"
#include "optim/adamw.h"
#include "rl/generate.h"
#include "rl/objective.h"
#include "tests/model_fixture.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

LossOptions sft_loss(int64_t tokens) {
  LossOptions loss;
  loss.type = LossType::kSft;
  loss.total_tokens = tokens;
  return loss;
}

// [T, V] logits of prompt and completion.
std::vector<float> all_logits(ModelFixture& f, const GoldenCase& c) {
  Prompt whole = c.prompt;
  whole.tokens.insert(whole.tokens.end(), c.completion.begin(), c.completion.end());
  const PackedBatch batch = pack_prompts(*f.model, {&whole});
  TreeAttention attention(batch.tree);
  Graph graph(*f.backend, false);
  const Variable h = f.model->final_norm(graph, f.model->hidden(graph, batch, attention));
  return to_vector(*f.backend, ops::linear(graph, h, nn::leaf(graph, f.model->head()), nullptr, nullptr).value());
}

TEST(model_positions_equal_transformers) {
  for (const auto& folder : golden_models()) {
    ModelFixture f(folder);
    const GoldenCases cases(folder);
    for (const GoldenCase& c : cases.all()) {
      const PackedGroups packed = pack_groups(*f.model, {c.group()});
      const auto expected = cases.tensors().i32(c.name + ".position_ids");
      const size_t all = expected.size() / 3;
      const size_t count = packed.batch.tokens.size();  // the completion's last token stays out
      EXPECT_EQ(count, all - 1);
      for (size_t a = 0; a < 3; ++a)
        for (size_t t = 0; t < count; ++t) EXPECT_EQ(packed.batch.positions[a][t], expected[a * all + t]);
    }
  }
}

TEST(model_picture_features_equal_transformers) {
  for (const auto& folder : golden_models()) {
    ModelFixture f(folder);
    const GoldenCases cases(folder);
    for (const GoldenCase& c : cases.all()) {
      if (c.prompt.pictures.empty()) continue;
      Graph graph(*f.backend, false);
      auto& model = static_cast<qwen_vl::QwenVlModel&>(*f.model);
      const auto got = to_vector(*f.backend, model.picture_features(graph, c.prompt.pictures).value());
      EXPECT_LE(max_relative_error(got, cases.tensors().f32(c.name + ".image_features")), 2e-5);
    }
  }
}

TEST(model_logits_equal_transformers) {
  for (const auto& folder : golden_models()) {
    double worst = 0;
    for (const std::string& isa : cpu_isa_info().supported) {
      ModelFixture f(folder, 2, {}, isa);
      const GoldenCases cases(folder);
      for (const GoldenCase& c : cases.all()) {
        const double error = max_relative_error(all_logits(f, c), cases.tensors().f32(c.name + ".logits"));
        worst = std::max(worst, error);
        EXPECT_LE(error, 2e-5);
      }
    }
    std::printf("  %s logits: largest relative error %.2e\n", folder.c_str(), worst);
  }
}

struct WorstGradient {
  double cosine = 1;
  double norm = 0;
};

void compare_gradients(const std::string& folder, bool checkpointing, WorstGradient& worst) {
  ModelFixture f(folder, 2, full_training(checkpointing));
  const GoldenCases cases(folder);
  const GoldenCase& c = cases.get("two_images");
  Objective objective;
  objective.loss = sft_loss(static_cast<int64_t>(c.completion.size()));
  const AccumulateResult result = accumulate(*f.model, {c.group()}, objective, StopFlag());
  const GoldenTensors golden(folder + "/gradients.safetensors");
  EXPECT_NEAR(result.loss, c.json->at("loss").as_double(), 2e-5);
  EXPECT_EQ(golden.file().tensors().size(), f.model->parameters().all().size());
  for (const Parameter& p : f.model->parameters().all()) {
    const auto got = to_vector(*f.backend, p.grad);
    const auto expected = golden.f32(p.name);
    const double alike = cosine(got, expected);
    const double norm = relative_norm_error(got, expected);
    worst = {std::min(worst.cosine, alike), std::max(worst.norm, norm)};
    if (!(alike >= 0.99999) || !(norm <= 1e-4))
      VLMR1_REPORT(folder + " " + p.name + ": cosine " + show(alike) + ", relative norm error " + show(norm));
  }
}

TEST(model_gradients_equal_torch) {
  for (const auto& folder : golden_models()) {
    WorstGradient worst;
    for (const bool checkpointing : {false, true}) compare_gradients(folder, checkpointing, worst);
    std::printf("  %s gradients: smallest cosine 1 - %.1e, largest relative norm error %.2e\n", folder.c_str(),
                1 - worst.cosine, worst.norm);
  }
}

TEST(model_adamw_equals_torch) {
  for (const std::string folder : {"qwen2_5_vl_a", "qwen2_5_vl_b"}) {
    ModelFixture f(folder);
    const GoldenCases cases(folder);
    const Json& t = cases.json().at("training");
    const GoldenTensors gradients(folder + "/gradients.safetensors");
    const GoldenTensors after(folder + "/adamw.safetensors");
    AdamWOptions o;
    o.learning_rate = static_cast<float>(t.at("learning_rate").as_double());
    o.beta1 = static_cast<float>(t.at("betas").as_array()[0].as_double());
    o.beta2 = static_cast<float>(t.at("betas").as_array()[1].as_double());
    o.epsilon = static_cast<float>(t.at("eps").as_double());
    o.weight_decay = static_cast<float>(t.at("weight_decay").as_double());
    o.max_grad_norm = 1.0f;
    for (Parameter& p : f.model->parameters().all()) f.backend->upload(p.grad, gradients.f32(p.name).data());
    const StepResult step = adamw_step(*f.backend, f.model->parameters(), o);
    const double norm = t.at("grad_norm").as_double();
    EXPECT_NEAR(step.grad_norm, norm, norm * 1e-6);
    for (const Parameter& p : f.model->parameters().all())
      EXPECT_LE(max_relative_error(to_vector(*f.backend, p.value), after.f32(p.name)), 2e-6);
    // The second step: gradients −0.3 times the clipped ones, no further clipping.
    for (Parameter& p : f.model->parameters().all()) {
      auto g = gradients.f32(p.name);
      for (float& x : g) x *= static_cast<float>(-0.3 / (norm + 1e-6));
      f.backend->upload(p.grad, g.data());
    }
    adamw_step(*f.backend, f.model->parameters(), o);
    int compared = 0;
    for (const Parameter& p : f.model->parameters().all()) {
      if (!after.has("step2." + p.name)) continue;
      ++compared;
      EXPECT_LE(max_relative_error(to_vector(*f.backend, p.value), after.f32("step2." + p.name)), 5e-6);
    }
    EXPECT_GT(compared, 10);
  }
}

void expect_greedy(ModelFixture& f, const GoldenCase& c, const char* key, float penalty) {
  const Json& golden = c.json->at(key);
  const auto expected = int_list(golden.at("tokens"));
  const auto logprobs = float_list(golden.at("logprobs"));
  const auto processed = float_list(golden.at("processed_logprobs"));
  SamplingOptions sampling;
  sampling.temperature = 0;
  sampling.repetition_penalty = penalty;
  sampling.max_new_tokens = static_cast<int32_t>(expected.size());
  const auto out = generate(*f.model, {c.prompt}, {1, sampling}, StopFlag(), nullptr);
  EXPECT_EQ(out[0][0].tokens, expected);
  EXPECT_FALSE(out[0][0].stopped);
  EXPECT_LE(max_absolute_error(out[0][0].log_probs, logprobs), 2e-5);
  EXPECT_LE(max_absolute_error(out[0][0].sampling_log_probs, processed), 2e-5);
}

TEST(model_greedy_generation_equals_transformers) {
  for (const auto& folder : golden_models()) {
    ModelFixture f(folder);
    const GoldenCases cases(folder);
    for (const GoldenCase& c : cases.all()) {
      expect_greedy(f, c, "greedy", 1.0f);
      expect_greedy(f, c, "greedy_rp", 1.3f);
    }
  }
}

TEST(model_names_what_is_wrong_with_a_prompt) {
  ModelFixture f("qwen2_5_vl_a");
  const GoldenCases cases("qwen2_5_vl_a");
  Prompt p = cases.get("one_image").prompt;
  Prompt fewer = p;
  fewer.pictures.clear();
  EXPECT_ERROR(ErrorCode::kTokens, f.model->check_prompt(fewer, "row 7"));
  Prompt more = p;
  more.pictures.push_back(p.pictures[0]);
  EXPECT_ERROR(ErrorCode::kTokens, f.model->check_prompt(more, "row 7"));
  Prompt outside = p;
  outside.tokens[0] = 100000;
  EXPECT_ERROR(ErrorCode::kTokens, f.model->check_prompt(outside, "row 7"));
  auto cut = std::make_shared<Picture>(*p.pictures[0]);
  cut->pixel_values.pop_back();
  Prompt broken = p;
  broken.pictures = {cut};
  EXPECT_ERROR(ErrorCode::kShape, f.model->check_prompt(broken, "row 7"));
}

}  // namespace
}  // namespace vlmr1
