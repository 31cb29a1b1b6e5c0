#include "io/checkpoint.h"

#include <filesystem>
#include <limits>
#include <set>

#include "backend/backend.h"
#include "io/files.h"
#include "io/json.h"
#include "io/names.h"
#include "io/safetensors.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using testing::same_bits;
using testing::TemporaryFolder;

constexpr int64_t kOneFile = int64_t{1} << 40;

// A frozen parameter of five axes, and trained ones.
struct Fixture {
  Fixture() : Fixture(trained({"visual.patch.weight"})) {}
  explicit Fixture(const TrainingPlan& plan) : backend(make_cpu_backend({1, ""})), store(*backend, specs(), plan) {
    for (size_t i = 0; i < store.all().size(); ++i) {
      Parameter& p = store.all()[i];
      if (!p.value) p.value = backend->empty(p.shape);
      set(p.value, static_cast<float>(i + 1));
    }
  }
  static std::vector<ParameterSpec> specs() {
    return {{"visual.patch.weight", {4, 3, 2, 2, 2}, Part::kVision},
            {"a.weight", {5, 7}, Part::kLanguage, true},
            {"a.bias", {5}}};
  }
  static TrainingPlan trained(std::set<std::string> frozen) {
    TrainingPlan plan;
    plan.mode = TrainMode::kFull;
    plan.frozen = std::move(frozen);
    return plan;
  }
  void set(Tensor value, float scale) {
    std::vector<float> numbers(static_cast<size_t>(value.numel()));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = scale * (0.1f + static_cast<float>(i));
    backend->upload(value, numbers.data());
  }
  std::vector<float> get(const Tensor& value) const {
    std::vector<float> numbers(static_cast<size_t>(value.numel()));
    backend->download(value, numbers.data());
    return numbers;
  }
  std::vector<float> get(const std::string& name) { return get(store.get(name).value); }

  std::unique_ptr<Backend> backend;
  ParameterStore store;
};

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

void load(Fixture& fixture, const std::string& folder) {
  load_parameters(*fixture.backend, fixture.store, folder,
                  {[](const std::string& name) { return name == "unused"; }, {{"tied.bias", "a.bias"}}});
}

void expect_same_parameters(Fixture& a, Fixture& b) {
  for (const Parameter& parameter : a.store.all()) EXPECT_TRUE(same_bits(a.get(parameter.name), b.get(parameter.name)));
}

TEST(checkpoint_one_file_round_trip) {
  const TemporaryFolder folder;
  Fixture saved, loaded;
  save_parameters(*saved.backend, saved.store, folder.file("new/folder"), SaveDType::kF32, kOneFile);
  EXPECT_EQ(names_in(folder.file("new/folder")), (std::set<std::string>{"model.safetensors"}));
  const SafetensorsFile file(folder.file("new/folder/model.safetensors"));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.get("visual.patch.weight").shape, (std::vector<int64_t>{4, 3, 2, 2, 2}));
  for (Parameter& parameter : loaded.store.all()) loaded.set(parameter.value, -1.0f);
  load(loaded, folder.file("new/folder"));
  expect_same_parameters(saved, loaded);
}

TEST(checkpoint_shards_round_trip) {
  const TemporaryFolder folder;
  Fixture saved, loaded;
  save_parameters(*saved.backend, saved.store, folder.path(), SaveDType::kF32, 4 * 40);
  EXPECT_EQ(names_in(folder.path()),
            (std::set<std::string>{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                   "model.safetensors.index.json"}));
  const Json index = Json::parse(read_text_file(folder.file("model.safetensors.index.json")), "index");
  EXPECT_EQ(index.at("metadata").at("total_size").as_int(), 4 * (96 + 35 + 5));
  EXPECT_EQ(index.at("weight_map").at("a.bias").as_string(), "model-00002-of-00002.safetensors");
  for (Parameter& parameter : loaded.store.all()) loaded.set(parameter.value, -1.0f);
  load(loaded, folder.path());
  expect_same_parameters(saved, loaded);
}

TEST(checkpoint_save_removes_weights_of_the_save_before) {
  const TemporaryFolder folder;
  Fixture fixture;
  const std::set<std::string> others{"config.json",
                                     "model-card-of-mine.md",
                                     "model-best-of-3.safetensors",
                                     "model-of-1.safetensors",
                                     "model-1-of-.safetensors",
                                     "model-.safetensors-of-"};
  for (const std::string& name : others) write_text_file(folder.file(name), "{}");
  save_parameters(*fixture.backend, fixture.store, folder.path(), SaveDType::kF32, kOneFile);
  save_parameters(*fixture.backend, fixture.store, folder.path(), SaveDType::kF32, 1);
  EXPECT_EQ(names_in(folder.path()).count("model.safetensors"), 0u);
  EXPECT_EQ(names_in(folder.path()).size(), others.size() + 4);
  save_parameters(*fixture.backend, fixture.store, folder.path(), SaveDType::kF32, kOneFile);
  std::set<std::string> left = others;
  left.insert("model.safetensors");
  EXPECT_EQ(names_in(folder.path()), left);
}

TEST(checkpoint_half_precision_round_trip) {
  for (const SaveDType dtype : {SaveDType::kBF16, SaveDType::kF16}) {
    const TemporaryFolder folder;
    Fixture saved, loaded;
    save_parameters(*saved.backend, saved.store, folder.path(), dtype, kOneFile);
    load(loaded, folder.path());
    EXPECT_LE(testing::max_relative_error(loaded.get("a.weight"), saved.get("a.weight")), 0.005);
    save_parameters(*loaded.backend, loaded.store, folder.file("again"), dtype, kOneFile);
    EXPECT_EQ(read_text_file(folder.file("model.safetensors")), read_text_file(folder.file("again/model.safetensors")));
  }
}

TEST(checkpoint_lists_everything_that_does_not_fit) {
  const TemporaryFolder folder;
  Fixture fixture;
  const auto before = fixture.get("a.bias");
  const std::vector<float> numbers(96, 9.0f);
  const std::vector<int32_t> ids(5, 9);
  write_safetensors(folder.file("model.safetensors"),
                    {{"a.weight", "F32", {7, 5}, numbers.data()},
                     {"a.bias", "I32", {5}, ids.data()},
                     {"strange", "F32", {1}, numbers.data()},
                     {"unused", "F32", {1}, numbers.data()}},
                    {});
  try {
    load(fixture, folder.path());
    EXPECT_TRUE(false);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
    EXPECT_CONTAINS(error.what(), "1 missing: visual.patch.weight");
    EXPECT_CONTAINS(error.what(), "a.weight (expected [5, 7], got [7, 5])");
    EXPECT_CONTAINS(error.what(), "a.bias (I32)");
    EXPECT_CONTAINS(error.what(), "has no place for: strange");
    EXPECT_TRUE(std::string(error.what()).find("unused") == std::string::npos);
  }
  EXPECT_TRUE(same_bits(fixture.get("a.bias"), before));
}

// What is copied is looked at; a frozen matrix stays in its file.
TEST(checkpoint_names_weights_that_are_not_finite) {
  const TemporaryFolder folder;
  std::vector<float> patch(96, 1.0f), weight(35, 2.0f), bias(5, 3.0f);
  const auto write = [&] {
    write_safetensors(folder.file("model.safetensors"),
                      {{"visual.patch.weight", "F32", {4, 3, 2, 2, 2}, patch.data()},
                       {"a.weight", "F32", {5, 7}, weight.data()},
                       {"a.bias", "F32", {5}, bias.data()}},
                      {});
  };
  patch[3] = std::numeric_limits<float>::infinity();
  write();
  Fixture frozen;
  load(frozen, folder.path());
  weight[34] = std::numeric_limits<float>::quiet_NaN();
  bias[0] = -std::numeric_limits<float>::infinity();
  write();
  Fixture fixture;
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "2 with infinite numbers or NaN", load(fixture, folder.path()));
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "a.weight, a.bias", load(fixture, folder.path()));
}

TEST(checkpoint_tied_tensors_must_repeat_what_they_are_tied_to) {
  const TemporaryFolder folder;
  Fixture fixture;
  const std::vector<float> patch(96, 1.0f), weight(35, 2.0f), bias(5, 3.0f), other{3.0f, 3.0f, 3.0f, 3.0f, 3.5f};
  const auto write = [&](const std::vector<float>& tied) {
    write_safetensors(folder.file("model.safetensors"),
                      {{"visual.patch.weight", "F32", {4, 3, 2, 2, 2}, patch.data()},
                       {"a.weight", "F32", {5, 7}, weight.data()},
                       {"a.bias", "F32", {5}, bias.data()},
                       {"tied.bias", "F32", {5}, tied.data()}},
                      {});
  };
  write(bias);
  load(fixture, folder.path());
  EXPECT_TRUE(same_bits(fixture.get("a.bias"), bias));
  write(other);
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "tied.bias (tied to a.bias)", load(fixture, folder.path()));
}

TEST(checkpoint_malformed_indexes) {
  const struct {
    ErrorCode code;
    std::string text, message;
  } cases[] = {
      {ErrorCode::kCheckpoint, "{", "expected a key"},
      {ErrorCode::kCheckpoint, "{}", "\"weight_map\" is missing"},
      {ErrorCode::kCheckpoint, R"({"weight_map": []})", "expected an object"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": 1}})", "expected a string"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": "../secret.safetensors"}})", "expected plain file names"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": "/etc/passwd"}})", "expected plain file names"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": "x\\y"}})", "expected plain file names"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": ".."}})", "expected plain file names"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": ""}})", "expected plain file names"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": "x\u0000y"}})", "expected plain file names"},
      {ErrorCode::kCheckpoint, R"({"weight_map": {"a": "shard.safetensors"}})",
       "1 that the file named for it does not hold: a (shard.safetensors)"},
      {ErrorCode::kIo, R"({"weight_map": {"a": "gone-1", "b": "shard.safetensors", "c": "gone-2"}})",
       "expected 3 files of weights beside it, 2 are not there: gone-1, gone-2"},
  };
  const TemporaryFolder folder;
  write_safetensors(folder.file("shard.safetensors"), {}, {});
  Fixture fixture;
  for (const auto& c : cases) {
    write_text_file(folder.file("model.safetensors.index.json"), c.text);
    EXPECT_ERROR_WITH(c.code, c.message, load(fixture, folder.path()));
  }
  EXPECT_ERROR_WITH(ErrorCode::kIo, "no weights in", load(fixture, folder.file("none")));
}

TEST(checkpoint_gradients) {
  const TemporaryFolder folder;
  Fixture fixture;
  fixture.set(fixture.store.get("a.weight").grad, 3.0f);
  save_gradients(*fixture.backend, fixture.store, folder.file("g"));
  const SafetensorsFile file(folder.file("g"));
  EXPECT_EQ(file.tensors().size(), 2u);
  std::vector<float> got(35);
  read_f32(file.get("a.weight"), got.data());
  EXPECT_TRUE(same_bits(got, fixture.get(fixture.store.get("a.weight").grad)));
  ParameterStore frozen(*fixture.backend, Fixture::specs(), {});
  EXPECT_ERROR(ErrorCode::kState, save_gradients(*fixture.backend, frozen, folder.file("f")));
}

TEST(checkpoint_state_is_exact) {
  const TemporaryFolder folder;
  Fixture saved, loaded;
  save_state(*saved.backend, saved.store, folder.file("fresh"));
  saved.store.make_moments(*saved.backend);
  for (const Parameter& p : saved.store.all()) {
    if (!p.trainable) continue;
    saved.set(saved.store.moment1(p).values, 1.0f / 3.0f);
    saved.set(saved.store.moment2(p).values, 1e-20f);
  }
  saved.store.step_count = 17;
  save_state(*saved.backend, saved.store, folder.file("state"));
  for (Parameter& parameter : loaded.store.all()) loaded.set(parameter.value, -1.0f);
  load_state(*loaded.backend, loaded.store, folder.file("state"));
  // What is frozen is the checkpoint's and not the state's.
  for (const Parameter& p : loaded.store.all())
    EXPECT_EQ(same_bits(loaded.get(p.name), saved.get(p.name)), p.trainable);
  EXPECT_EQ(loaded.store.step_count, 17);
  for (const Parameter& p : saved.store.all()) {
    if (!p.trainable) continue;
    const Parameter& q = loaded.store.get(p.name);
    EXPECT_TRUE(same_bits(loaded.get(loaded.store.moment1(q).values), saved.get(saved.store.moment1(p).values)));
    EXPECT_TRUE(same_bits(loaded.get(loaded.store.moment2(q).values), saved.get(saved.store.moment2(p).values)));
  }
  load_state(*loaded.backend, loaded.store, folder.file("fresh"));
  EXPECT_EQ(loaded.store.step_count, 0);
  EXPECT_TRUE(!loaded.store.has_moments());
}

TEST(checkpoint_state_of_another_model_changes_nothing) {
  const TemporaryFolder folder;
  Fixture fixture;
  const auto before = fixture.get("a.weight");
  auto specs = Fixture::specs();
  ParameterStore other(*fixture.backend, specs, Fixture::trained({"visual.patch.weight", "a.bias"}));
  other.make_moments(*fixture.backend);
  save_state(*fixture.backend, other, folder.file("other"));
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "no tensor \"parameter.a.bias\"",
                    load_state(*fixture.backend, fixture.store, folder.file("other")));
  ParameterStore smaller(*fixture.backend, specs, Fixture::trained({"visual.patch.weight", "a.weight", "a.bias"}));
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "saved by another model",
                    load_state(*fixture.backend, smaller, folder.file("other")));
  save_parameters(*fixture.backend, fixture.store, folder.path(), SaveDType::kF32, kOneFile);
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "not a training state",
                    load_state(*fixture.backend, fixture.store, folder.file("model.safetensors")));
  for (const char* step : {"1x", "", "-1", "9223372036854775807", "99999999999999999999"}) {
    write_safetensors(folder.file("s"), {}, {{"kind", "vlmr1-native training state"}, {"step", step}});
    EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "step count",
                      load_state(*fixture.backend, fixture.store, folder.file("s")));
  }
  EXPECT_TRUE(same_bits(fixture.get("a.weight"), before));
}

TEST(checkpoint_names_of_every_kind) {
  const char* published[] = {"model.layers.3.mlp.up_proj.weight", "visual.merger.mlp.0.bias", "lm_head.weight",
                             "model.embed_tokens.weight", "model.norm.weight"};
  const char* runtime[] = {"model.language_model.layers.3.mlp.up_proj.weight", "model.visual.merger.mlp.0.bias",
                           "lm_head.weight", "model.language_model.embed_tokens.weight",
                           "model.language_model.norm.weight"};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(runtime_name(published[i]), runtime[i]);
    EXPECT_EQ(published_name(runtime[i]), published[i]);
    EXPECT_EQ(published_name(published[i]), published[i]);
  }
  const std::string a = "model.layers.0.self_attn.q_proj.lora_A.weight";
  EXPECT_EQ(peft_name(a), "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(from_peft_name(peft_name(a)), a);
  EXPECT_EQ(from_peft_name("base_model.model." + a), a);
  EXPECT_EQ(from_peft_name("base_model.model.visual.blocks.0.attn.qkv.lora_B.default.weight"),
            "visual.blocks.0.attn.qkv.lora_B.weight");
}

TEST(checkpoint_runtime_names_load_and_no_name_twice) {
  const TemporaryFolder folder;
  Fixture saved, loaded;
  std::vector<std::vector<float>> values;
  std::vector<TensorToWrite> tensors;
  for (const Parameter& p : saved.store.all()) {
    values.push_back(saved.get(p.name));
    tensors.push_back({runtime_name(p.name), "F32", p.shape.axes(), nullptr});
  }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].data = values[i].data();
  write_safetensors(folder.file("model.safetensors"), tensors, {});
  for (Parameter& p : loaded.store.all()) loaded.set(p.value, -1.0f);
  load(loaded, folder.path());
  expect_same_parameters(saved, loaded);
  tensors.push_back(tensors[0]);
  tensors.back().name = published_name(tensors[0].name);
  write_safetensors(folder.file("model.safetensors"), tensors, {});
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "is there under two names", load(loaded, folder.path()));
}

}  // namespace
}  // namespace vlmr1
