// What the optimizer makes of a model's parameters by the plan: parts, exclusions, forms, and their exact states.
#include <algorithm>
#include <cmath>
#include <map>
#include <new>

#include "backend/moment_code.h"
#include "core/dtype.h"
#include "io/checkpoint.h"
#include "io/files.h"
#include "io/safetensors.h"
#include "optim/adamw.h"
#include "optim/blend.h"
#include "rl/objective.h"
#include "tests/guarded_backend.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

// A store of parameters large and small, in all parts; its weights are random.
struct Store {
  explicit Store(const TrainingPlan& plan, int threads = 2)
      : backend(make_cpu_backend({threads, ""})), store(*backend, specs(), plan) {
    uint64_t seed = 0;
    for (Parameter& p : store.all()) {
      Tensor exact = p.exact();
      if (!exact) continue;
      const Array values = random_array(++seed, p.shape);
      if (exact.dtype() == DType::kF32) backend->upload(exact, values.values.data());
      else backend->convert(to_device(*backend, values), exact);
    }
    store.refresh(*backend);
  }
  static std::vector<ParameterSpec> specs() {
    return {{"v.weight", {64, 70}, Part::kVision, true},
            {"v.bias", {64}, Part::kVision},
            {"m.weight", {20, 30}, Part::kMerger, true},
            {"l.weight", {80, 100}, Part::kLanguage, true},
            {"l.norm.weight", {5000}, Part::kLanguage}};
  }
  StepResult step(const AdamWOptions& options, uint64_t seed = 50) {
    for (const Parameter& p : store.all()) {
      if (!p.trainable) continue;
      Tensor grad = p.grad;
      backend->upload(grad, random_array(++seed, p.shape).values.data());
    }
    return adamw_step(*backend, store, options);
  }
  std::vector<float> get(const Tensor& x) {
    if (x.dtype() == DType::kF32) return to_vector(*backend, x);
    Tensor wide = backend->empty(x.shape());
    backend->convert(x, wide);
    return to_vector(*backend, wide);
  }
  std::map<std::string, std::vector<float>> all() {
    std::map<std::string, std::vector<float>> values;
    for (const Parameter& p : store.all())
      if (p.held) values[p.name] = get(p.exact());
    return values;
  }
  std::unique_ptr<Backend> backend;
  ParameterStore store;
};

TrainingPlan full_plan() {
  TrainingPlan plan;
  plan.mode = TrainMode::kFull;
  return plan;
}

TrainingPlan small_plan() {
  TrainingPlan plan = full_plan();
  plan.precision = Precision::kBF16;
  plan.stochastic_rounding = true;
  plan.moments = MomentType::kInt8;
  return plan;
}

TrainingPlan writable_plan(Precision precision) {
  TrainingPlan plan;
  plan.precision = precision;
  plan.writable = true;
  return plan;
}

AdamWOptions rate(const LearningRates& rates) {
  AdamWOptions options;
  options.learning_rate = rates;
  return options;
}

TEST(optimizer_rates_are_those_of_the_part) {
  Store parts(full_plan()), vision(full_plan()), language(full_plan());
  const auto before = parts.all();
  parts.step(rate({1e-2f, 0.0f, 1e-3f}));
  vision.step(rate(1e-2f));
  language.step(rate(1e-3f));
  for (const Parameter& p : parts.store.all()) {
    const auto got = parts.get(p.value);
    if (p.part == Part::kMerger) EXPECT_TRUE(same_bits(got, before.at(p.name)));
    else EXPECT_TRUE(same_bits(got, (p.part == Part::kVision ? vision : language).all().at(p.name)));
    // A rate of 0 holds no moment back.
    EXPECT_TRUE(same_bits(parts.get(parts.store.moment1(p).values), vision.get(vision.store.moment1(p).values)));
  }
}

TEST(optimizer_weight_decay_leaves_out_vectors_and_names) {
  TrainingPlan plan = full_plan();
  plan.no_decay = {"m.weight"};
  Store with(plan), without(plan);
  AdamWOptions options = rate(1e-2f);
  without.step(options);
  options.weight_decay = 0.5f;
  with.step(options);
  for (const Parameter& p : with.store.all()) {
    const bool decays = p.name == "v.weight" || p.name == "l.weight";
    EXPECT_EQ(p.decays, decays);
    EXPECT_EQ(same_bits(with.get(p.value), without.get(without.store.get(p.name).value)), !decays);
  }
  plan.no_decay = {"nothing"};
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "noDecay: no parameter is named nothing", Store(plan, 1));
}

TEST(optimizer_adapters_decay_as_their_layer_does) {
  TrainingPlan plan;
  plan.mode = TrainMode::kLora;
  plan.lora.modules = {{"l", 4, 1.0f}, {"v", 4, 1.0f}};
  plan.no_decay = {"l.weight"};
  Store lora(plan);
  for (const char* name : {"lora_A.weight", "lora_B.weight"}) {
    EXPECT_TRUE(!lora.store.get(std::string("l.") + name).decays);
    EXPECT_TRUE(lora.store.get(std::string("v.") + name).decays);
  }
  const auto before = lora.all();
  lora.step(rate({0.0f, 0.0f, 1e-2f}));
  EXPECT_TRUE(same_bits(lora.all().at("v.lora_A.weight"), before.at("v.lora_A.weight")));
  EXPECT_TRUE(!same_bits(lora.all().at("l.lora_A.weight"), before.at("l.lora_A.weight")));
}

TEST(optimizer_says_the_norm_after_clipping) {
  Store store(full_plan());
  AdamWOptions options = rate(1e-3f);
  const StepResult free = store.step(options);
  EXPECT_EQ(free.grad_norm_clipped, free.grad_norm);
  options.max_grad_norm = 2.0f;
  const StepResult clipped = store.step(options);
  EXPECT_NEAR(clipped.grad_norm, free.grad_norm, 1e-3);
  EXPECT_NEAR(clipped.grad_norm_clipped, 2.0, 1e-5);
  options.max_grad_norm = 1e6f;
  const StepResult loose = store.step(options);
  EXPECT_EQ(loose.grad_norm_clipped, loose.grad_norm);
}

TEST(optimizer_names_weights_that_would_not_stay_finite) {
  Store store(full_plan());
  std::vector<float> bias = store.get(store.store.get("v.bias").value);
  bias[7] = std::nanf("");
  Tensor value = store.store.get("v.bias").value;
  store.backend->upload(value, bias.data());
  const StepResult result = store.step(rate(1e-3f));
  EXPECT_TRUE(!result.skipped);
  EXPECT_EQ(result.non_finite_weights, std::vector<std::string>{"v.bias"});
  const auto got = store.get(value);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isnan(got[i]), i == 7);
  EXPECT_TRUE(store.step(rate({0.0f, 0.0f, 1e-3f})).non_finite.empty());
}

// Small tensors' moments stay f32, and a tensor's codes do not touch its neighbour's.
TEST(optimizer_moments_of_bytes_are_of_large_tensors) {
  TrainingPlan plan = full_plan();
  plan.moments = MomentType::kInt8;
  Store coded(plan), exact(full_plan());
  for (int i = 0; i < 3; ++i) {
    coded.step(rate(1e-3f), 50 + 10 * static_cast<uint64_t>(i));
    exact.step(rate(1e-3f), 50 + 10 * static_cast<uint64_t>(i));
  }
  for (const Parameter& p : coded.store.all()) {
    const bool large = p.shape.numel() >= kLeastCodedElements;
    const Moment m = coded.store.moment1(p);
    EXPECT_EQ(static_cast<bool>(m.scales), large);
    EXPECT_TRUE(m.values.dtype() == (large ? DType::kU8 : DType::kF32));
    const auto got = coded.get(p.value), expected = exact.get(exact.store.get(p.name).value);
    EXPECT_EQ(same_bits(got, expected), !large);
    // Three steps are at most about 3 · rate long.
    double off = 0.0;
    for (size_t i = 0; i < got.size(); ++i) off += std::fabs(got[i] - expected[i]);
    EXPECT_LT(off / static_cast<double>(got.size()), 1.5e-4);
  }
}

TEST(optimizer_without_masters_holds_two_bytes_of_a_matrix) {
  Store small(small_plan()), large(full_plan());
  for (const Parameter& p : small.store.all()) {
    EXPECT_EQ(static_cast<bool>(p.master), !p.is_matrix());
    EXPECT_TRUE(p.value.dtype() == (p.is_matrix() ? DType::kBF16 : DType::kF32));
  }
  // Two bytes and not four of a weight, four of its gradient; moments: two bytes and not eight, or eight where a tensor
  // is small; a scale per 256 of them.
  const auto used = [](Store& s) {
    const size_t before = s.backend->memory_used();
    s.store.make_moments(*s.backend);
    return std::pair(before, s.backend->memory_used() - before);
  };
  const auto [weights, moments] = used(small);
  const int64_t matrices = 64 * 70 + 20 * 30 + 80 * 100, vectors = 64 + 5000, coded = 64 * 70 + 80 * 100 + 5000;
  const int64_t others = matrices + vectors - coded;
  const auto near = [](size_t got, double expected) { EXPECT_NEAR(static_cast<double>(got), expected, 600.0); };
  near(weights, 2.0 * matrices + 4.0 * vectors + 4.0 * (matrices + vectors));
  near(moments, 2.0 * coded + 2.0 * 4.0 * coded / 256 + 8.0 * others);
  const auto [more, f32_moments] = used(large);
  near(more, 8.0 * (matrices + vectors));
  near(f32_moments, 8.0 * (matrices + vectors));
}

TEST(optimizer_random_rounding_has_the_same_bits_on_all_threads_and_other_ones_with_another_seed) {
  Store one(small_plan(), 1), three(small_plan(), 3), other(small_plan(), 1);
  AdamWOptions options = rate(1e-3f);
  options.seed = 5;
  one.step(options);
  three.step(options);
  options.seed = 6;
  other.step(options);
  for (const Parameter& p : one.store.all()) {
    EXPECT_TRUE(same_bits(one.get(p.value), three.all().at(p.name)));
    EXPECT_EQ(same_bits(one.get(p.value), other.all().at(p.name)), !p.is_matrix());
  }
}

TEST(optimizer_random_rounding_is_another_one_in_every_tensor_and_update) {
  const auto backend = make_cpu_backend({2, ""});
  ParameterStore store(*backend, {{"a", {30, 40}}, {"b", {30, 40}}}, small_plan());
  const Parameter &a = store.get("a"), &b = store.get("b");
  std::vector<std::vector<uint16_t>> seen;
  for (int update = 0; update < 2; ++update) {
    for (const Parameter* p : {&a, &b}) {
      Tensor value = p->value, grad = p->grad;
      backend->convert(to_device(*backend, random_array(1, p->shape)), value);
      backend->upload(grad, random_array(2, p->shape).values.data());
    }
    // With these betas nothing of the update before remains but its number.
    store.drop_moments();
    AdamWOptions options = rate(1e-3f);
    options.beta1 = options.beta2 = 0.0f;
    adamw_step(*backend, store, options);
    for (const Parameter* p : {&a, &b}) {
      seen.emplace_back(static_cast<size_t>(p->value.numel()));
      backend->download(p->value, seen.back().data());
    }
  }
  for (size_t i = 0; i < seen.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_TRUE(seen[i] != seen[j]);
}

TEST(optimizer_plans_that_contradict_themselves) {
  TrainingPlan plan = full_plan();
  plan.stochastic_rounding = true;
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "expected precision bf16", Store(plan, 1));
  plan.precision = Precision::kBF16;
  plan.mode = TrainMode::kNone;
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "train full", Store(plan, 1));
  plan = full_plan();
  plan.writable = true;
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "writable: expected a model that is not trained", Store(plan, 1));
}

// A back end whose memory ends after so many more tensors.
class ScarceBackend final : public GuardedBackend {
 public:
  using GuardedBackend::GuardedBackend;
  Tensor zeros(const Shape& shape, DType dtype = DType::kF32) override {
    if (left-- == 0) throw std::bad_alloc();
    return GuardedBackend::zeros(shape, dtype);
  }
  int left = 1000;
};

// A step that has no memory for moments is none: the next one counts as it would have.
TEST(optimizer_without_memory_changes_nothing) {
  for (const MomentType moments : {MomentType::kF32, MomentType::kInt8}) {
    const auto inner = make_cpu_backend({1, ""});
    ScarceBackend backend(*inner);
    TrainingPlan plan = full_plan();
    plan.moments = moments;
    ParameterStore store(backend, Store::specs(), plan);
    Tensor grad = store.get("v.weight").grad;
    const Array slope = random_array(1, grad.shape());
    backend.upload(grad, slope.values.data());
    // f32 alone takes a tensor for each moment; bytes take three: floats, codes and scales.
    for (int left = 0; left < (moments == MomentType::kF32 ? 2 : 6); ++left) {
      backend.left = left;
      bool failed = false;
      try {
        adamw_step(backend, store, rate(1e-3f));
      } catch (const std::bad_alloc&) {
        failed = true;
      }
      EXPECT_TRUE(failed && !store.has_moments());
      EXPECT_EQ(store.step_count, 0);
      EXPECT_TRUE(same_bits(to_vector(backend, grad), slope.values));
    }
    backend.left = 1000;
    EXPECT_TRUE(!adamw_step(backend, store, rate(1e-3f)).skipped);
    EXPECT_EQ(store.step_count, 1);
    EXPECT_EQ(backend.check_guards(), "");
  }
}

// -- States.

TEST(optimizer_states_of_every_form_are_exact) {
  const TemporaryFolder folder;
  TrainingPlan bytes = full_plan(), halves = small_plan();
  bytes.moments = MomentType::kInt8;
  halves.moments = MomentType::kF32;
  for (const TrainingPlan& plan : {full_plan(), bytes, halves, small_plan()}) {
    Store straight(plan), resumed(plan);
    AdamWOptions options = rate(1e-2f);
    options.weight_decay = 0.1f;
    straight.step(options);
    straight.step(options);
    save_state(*straight.backend, straight.store, folder.file("state"));
    resumed.step(rate(1.0f));
    load_state(*resumed.backend, resumed.store, folder.file("state"));
    EXPECT_EQ(resumed.store.step_count, 2);
    EXPECT_TRUE(resumed.all() == straight.all());
    straight.step(options);
    resumed.step(options);
    EXPECT_TRUE(resumed.all() == straight.all());
    save_state(*straight.backend, straight.store, folder.file("a"));
    save_state(*resumed.backend, resumed.store, folder.file("b"));
    EXPECT_EQ(read_text_file(folder.file("a")), read_text_file(folder.file("b")));
  }
}

TEST(optimizer_states_of_another_kind_change_nothing) {
  const TemporaryFolder folder;
  TrainingPlan bytes = full_plan(), halves = small_plan();
  bytes.moments = MomentType::kInt8;
  halves.moments = MomentType::kF32;
  const std::vector<std::pair<TrainingPlan, std::string>> kinds{
      {full_plan(), "f32"}, {bytes, "bytes"}, {halves, "halves"}, {writable_plan(Precision::kF32), "copy"}};
  for (const auto& [plan, name] : kinds) {
    Store store(plan);
    if (store.store.trains()) store.step(rate(1e-2f));
    save_state(*store.backend, store.store, folder.file(name));
  }
  const auto refused = [&](const TrainingPlan& plan, const char* file, const char* message) {
    Store store(plan);
    const auto before = store.all();
    EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, message, load_state(*store.backend, store.store, folder.file(file)));
    EXPECT_TRUE(store.all() == before);
    EXPECT_TRUE(!store.store.has_moments());
  };
  refused(full_plan(), "bytes", "moments: expected \"f32\", got \"int8\": load the model with the optimizer");
  refused(bytes, "f32", "moments: expected \"int8\", got \"f32\"");
  refused(full_plan(), "halves", "weights: expected \"f32\", got \"bf16\"");
  refused(halves, "f32", "weights: expected \"bf16\", got \"f32\"");
  refused(full_plan(), "copy", "holds: expected \"what trains\", got \"all weights\"");
  refused(writable_plan(Precision::kF32), "f32", "holds: expected \"all weights\", got \"what trains\"");
}

// As earlier versions wrote them: flat, and without a word on their kind.
TEST(optimizer_states_of_older_files_load) {
  const TemporaryFolder folder;
  Store store(full_plan());
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  for (const Parameter& p : store.store.all())
    for (const char* kind : {"parameter.", "moment1.", "moment2."}) {
      values.push_back(random_array(200 + values.size(), p.shape).values);
      tensors.push_back({kind + p.name, "F32", {p.shape.numel()}});
    }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].data = values[i].data();
  write_safetensors(folder.file("old"), tensors, {{"kind", "vlmr1-native training state"}, {"step", "4"}});
  load_state(*store.backend, store.store, folder.file("old"));
  EXPECT_EQ(store.store.step_count, 4);
  for (size_t i = 0; i < store.store.all().size(); ++i) {
    const Parameter& p = store.store.all()[i];
    EXPECT_TRUE(same_bits(store.get(p.value), values[3 * i]));
    EXPECT_TRUE(same_bits(store.get(store.store.moment1(p).values), values[3 * i + 1]));
    EXPECT_TRUE(same_bits(store.get(store.store.moment2(p).values), values[3 * i + 2]));
  }
  Store another(full_plan());
  tensors[0].shape = {70, 64};
  write_safetensors(folder.file("turned"), tensors, {{"kind", "vlmr1-native training state"}, {"step", "4"}});
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "numbers as [64, 70], got 4480 of F32 as [70, 64]",
                    load_state(*another.backend, another.store, folder.file("turned")));
}

}  // namespace
}  // namespace vlmr1
