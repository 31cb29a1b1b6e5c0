// Weights of other types than f32, and weights that stay in their file: the same bits as f32 copies of the same values.
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/float16.h"
#include "io/checkpoint.h"
#include "io/files.h"
#include "optim/adamw.h"
#include "rl/generate.h"
#include "rl/objective.h"
#include "tests/model_fixture.h"
#include "tests/op_harness.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

// A weight in memory that a test owns, as if it were a mapped file.
struct FileWeight {
  FileWeight(DType type, const std::vector<float>& from)
      : dtype(type), bits(std::make_shared<std::vector<uint16_t>>()) {
    for (const float x : from) {
      if (dtype == DType::kF32) {
        bits->resize(bits->size() + 2);
        std::memcpy(&*(bits->end() - 2), &x, sizeof(x));
        values.push_back(x);
      } else {
        bits->push_back(dtype == DType::kBF16 ? f32_to_bf16(x) : f32_to_f16(x));
        values.push_back(dtype == DType::kBF16 ? bf16_to_f32(bits->back()) : f16_to_f32(bits->back()));
      }
    }
  }
  Tensor adopt(Backend& backend, const Shape& shape, ProductTypes products) {
    const auto note = [this](const void* data, size_t bytes) {
      EXPECT_TRUE(data == bits->data());
      discarded += bytes;
    };
    return backend.adopt({bits->data(), bits->size() * 2, bits, note}, shape, dtype, products);
  }
  // After this only packed copies hold the values.
  void scramble() { std::fill(bits->begin(), bits->end(), uint16_t{0x3f9d}); }

  DType dtype;
  std::shared_ptr<std::vector<uint16_t>> bits;
  std::vector<float> values;  // exactly what it holds
  size_t discarded = 0;
};

struct Products {
  std::vector<float> y, dx, added;
};

Products products(Backend& backend, const Tensor& w, int64_t rows) {
  const int64_t out = w.shape()[0];
  const int64_t in = w.shape()[1];
  const Tensor x = to_device(backend, random_array(1, {rows, in}));
  const Tensor dy = to_device(backend, random_array(2, {rows, out}));
  const Tensor bias = to_device(backend, random_array(3, {out}));
  const Tensor residual = to_device(backend, random_array(4, {rows, out}));
  Tensor y = backend.empty({rows, out});
  Tensor dx = backend.empty({rows, in});
  Tensor added = to_device(backend, random_array(5, {rows, in}));
  backend.linear(x, w, &bias, &residual, y);
  backend.linear_grad_input(dy, w, dx, Write::kSet);
  backend.linear_grad_input(dy, w, added, Write::kAdd);
  return {to_vector(backend, y), to_vector(backend, dx), to_vector(backend, added)};
}

TEST(precision_products_over_any_stored_type_have_the_bits_of_f32) {
  for (const Device& device : devices()) {
    for (const int threads : {1, 3}) {
      const auto backend = device.open(threads);
      for (const auto& [out, in] : {std::pair<int64_t, int64_t>{45, 19}, {70, 600}, {33, 1025}, {1100, 37}}) {
        const auto numbers = random_array(7, {out, in}).values;
        for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
          FileWeight file(dtype, numbers);
          const Tensor exact = to_device(*backend, {{out, in}, file.values});
          for (const DType packed : {DType::kF32, DType::kBF16}) {
            if (packed == DType::kBF16 && dtype != DType::kBF16) continue;
            const Tensor w = file.adopt(*backend, {out, in}, {packed, DType::kF32});
            for (const int64_t rows : {1, 3, 14, 33}) {
              const Products got = products(*backend, w, rows);
              const Products expected = products(*backend, exact, rows);
              EXPECT_TRUE(same_bits(got.y, expected.y));
              EXPECT_TRUE(same_bits(got.dx, expected.dx));
              EXPECT_TRUE(same_bits(got.added, expected.added));
            }
          }
        }
      }
    }
  }
}

TEST(precision_bf16_products_round_the_weights_only) {
  const auto backend = make_cpu_backend({2, ""});
  const auto numbers = random_array(7, {40, 65}).values;
  FileWeight wide(DType::kF32, numbers);
  FileWeight narrow(DType::kBF16, numbers);
  const Products got = products(*backend, wide.adopt(*backend, {40, 65}, {DType::kBF16, DType::kF32}), 5);
  const Products expected = products(*backend, narrow.adopt(*backend, {40, 65}, {DType::kBF16, DType::kF32}), 5);
  EXPECT_TRUE(same_bits(got.y, expected.y));
  EXPECT_TRUE(same_bits(got.dx, expected.dx));
}

// A copy in memory, of a file whose data cannot stay mapped: backward reads the weights that forward read.
TEST(precision_bf16_products_of_f32_copies_round_in_both_directions) {
  const auto backend = make_cpu_backend({2, ""});
  const Array numbers = random_array(7, {40, 65});
  FileWeight narrow(DType::kBF16, numbers.values);
  Tensor copy = to_device(*backend, numbers);
  copy.storage()->persistent = true;
  copy.storage()->products.weight = DType::kBF16;
  const Products got = products(*backend, copy, 5);
  const Products expected = products(*backend, narrow.adopt(*backend, {40, 65}, {DType::kBF16, DType::kF32}), 5);
  EXPECT_TRUE(same_bits(got.y, expected.y));
  EXPECT_TRUE(same_bits(got.dx, expected.dx));
  EXPECT_TRUE(same_bits(got.added, expected.added));
}

TEST(precision_panels_that_were_interrupted_are_made_anew) {
  for (const int threads : {1, 3}) {
    const auto backend = make_cpu_backend({threads, ""});
    FileWeight file(DType::kBF16, random_array(7, {300, 96}).values);
    const Tensor w = file.adopt(*backend, {300, 96}, {DType::kBF16, DType::kF32});
    const Tensor x = to_device(*backend, random_array(1, {3, 96}));
    Tensor y = backend->empty({3, 300});
    const int32_t stopped = 1;
    backend->set_stop(StopFlag(&stopped));
    EXPECT_ERROR(ErrorCode::kAborted, backend->linear(x, w, nullptr, nullptr, y));
    EXPECT_EQ(file.discarded, 0u);
    backend->set_stop(StopFlag());
    const Tensor exact = to_device(*backend, {{300, 96}, file.values});
    const Products got = products(*backend, w, 3);
    EXPECT_TRUE(same_bits(got.y, products(*backend, exact, 3).y));
  }
}

TEST(precision_weights_of_whole_numbers_are_refused) {
  const auto backend = make_cpu_backend({3, ""});
  const Tensor x = to_device(*backend, random_array(1, {3, 96}));
  const Tensor w = backend->zeros({300, 96}, DType::kI32);
  Tensor y = backend->empty({3, 300});
  EXPECT_ERROR_WITH(ErrorCode::kDType, "got i32", backend->linear(x, w, nullptr, nullptr, y));
}

TEST(precision_weights_are_held_once) {
  const auto backend = make_cpu_backend({2, ""});
  const int64_t out = 64, in = 96;
  FileWeight file(DType::kBF16, random_array(7, {out, in}).values);
  const size_t before = backend->memory_used();
  const Tensor w = file.adopt(*backend, {out, in}, {DType::kBF16, DType::kF32});
  EXPECT_EQ(backend->memory_used(), before);
  const Products first = products(*backend, w, 9);
  EXPECT_EQ(file.discarded, w.bytes());  // once, for all three products
  EXPECT_EQ(backend->memory_used() - before, w.bytes());
  file.scramble();
  const Products again = products(*backend, w, 9);
  EXPECT_TRUE(same_bits(again.y, first.y));
  EXPECT_TRUE(same_bits(again.dx, first.dx));
}

TEST(precision_rows_of_any_stored_type) {
  for (const Device& device : devices()) {
    const auto backend = device.open(2);
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      FileWeight file(dtype, random_array(3, {20, 37}).values);
      const Tensor table = file.adopt(*backend, {20, 37}, {DType::kF32, DType::kF32});
      const std::vector<int32_t> at{19, 0, 7, 7};
      Tensor index = backend->empty({4}, DType::kI32);
      backend->upload(index, at.data());
      Tensor rows = backend->empty({4, 37});
      backend->gather_rows(table, index, rows);
      std::vector<float> expected;
      for (const int32_t i : at)
        expected.insert(expected.end(), file.values.begin() + i * 37, file.values.begin() + (i + 1) * 37);
      EXPECT_TRUE(same_bits(to_vector(*backend, rows), expected));
    }
  }
}

TEST(precision_panels_go_with_their_weight) {
  const auto backend = make_cpu_backend({1, ""});
  FileWeight file(DType::kBF16, random_array(7, {64, 96}).values);
  const size_t before = backend->memory_used();
  {
    const Tensor w = file.adopt(*backend, {64, 96}, {DType::kBF16, DType::kF32});
    products(*backend, w, 2);
    backend->trim();
    EXPECT_GT(backend->memory_used(), before);
  }
  backend->trim();
  EXPECT_EQ(backend->memory_used(), before);
}

// What the first forward pass gave back before is larger than the panels: it stays for what comes and goes.
TEST(precision_panels_take_no_block_of_an_activation) {
  const auto backend = make_cpu_backend({1, ""});
  FileWeight file(DType::kBF16, random_array(7, {64, 96}).values);
  const Tensor w = file.adopt(*backend, {64, 96}, {DType::kBF16, DType::kF32});
  const size_t before = backend->memory_used();
  backend->empty({1, 64 * 96 * 9 / 10});
  products(*backend, w, 2);
  EXPECT_EQ(backend->memory_used() - before, w.bytes());
}

// A golden model's folder in another type.
std::string converted(const std::string& golden, SaveDType dtype, const TemporaryFolder& folder) {
  ModelFixture f(golden);
  save_parameters(*f.backend, f.model->parameters(), folder.path(), dtype, int64_t{1} << 40);
  write_text_file(folder.file("config.json"), read_text_file(golden_path(golden + "/config.json")));
  return folder.path();
}

struct Loaded {
  Loaded(const std::string& folder, TrainMode mode, Precision precision) : backend(make_cpu_backend({2, ""})) {
    LoadOptions options;
    options.plan.mode = mode;
    options.plan.precision = precision;
    model = Model::load(*backend, folder, options);
  }
  std::vector<float> log_probs(const GoldenCase& c) {
    return score(*model, {c.group()}, 1.0f, AdapterMode::Use::kOn, StopFlag()).log_probs[0][0];
  }
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
};

TEST(precision_frozen_models_as_stored_equal_f32_copies) {
  for (const auto& golden : golden_models()) {
    for (const SaveDType dtype : {SaveDType::kBF16, SaveDType::kF16}) {
      const TemporaryFolder temporary;
      const std::string folder = converted(golden, dtype, temporary);
      const GoldenCase c = GoldenCases(golden).get("two_images");
      Loaded as_stored(folder, TrainMode::kNone, Precision::kAuto);
      Loaded wide(folder, TrainMode::kNone, Precision::kF32);
      Loaded trained(folder, TrainMode::kFull, Precision::kAuto);
      const auto expected = trained.log_probs(c);
      EXPECT_TRUE(same_bits(as_stored.log_probs(c), expected));
      EXPECT_TRUE(same_bits(wide.log_probs(c), expected));
    }
  }
}

// The reference policy is frozen and the policy it is compared with trains: before the first step they are the same.
TEST(precision_bf16_frozen_models_equal_trained_ones) {
  for (const auto& golden : golden_models()) {
    for (const SaveDType dtype : {SaveDType::kF32, SaveDType::kF16}) {
      const TemporaryFolder temporary;
      const std::string folder = converted(golden, dtype, temporary);
      const GoldenCase c = GoldenCases(golden).get("two_images");
      Loaded frozen(folder, TrainMode::kNone, Precision::kBF16);
      Loaded trained(folder, TrainMode::kFull, Precision::kBF16);
      Loaded wide(folder, TrainMode::kNone, Precision::kF32);
      EXPECT_TRUE(same_bits(frozen.log_probs(c), trained.log_probs(c)));
      EXPECT_TRUE(!same_bits(frozen.log_probs(c), wide.log_probs(c)));
    }
  }
}

// The same values where they cannot stay mapped: as doubles, or at an odd address.
void write_unmappable(const std::string& file, bool doubles) {
  std::string header = "{", data;
  {
    const SafetensorsFile from(file);
    for (const auto& [name, tensor] : from.tensors()) {
      const size_t begin = data.size();
      data.append(reinterpret_cast<const char*>(tensor.data), tensor.bytes);
      if (doubles) {
        std::vector<float> values(static_cast<size_t>(tensor.numel()));
        read_f32(tensor, values.data());
        const std::vector<double> wide(values.begin(), values.end());
        data.resize(begin);
        data.append(reinterpret_cast<const char*>(wide.data()), wide.size() * sizeof(double));
      }
      header += (header.size() > 1 ? ",\"" : "\"") + name + "\":{\"dtype\":\"" + (doubles ? "F64" : tensor.dtype) +
                "\",\"shape\":" + show(tensor.shape) + ",\"data_offsets\":[" + std::to_string(begin) + "," +
                std::to_string(data.size()) + "]}";
    }
  }
  header += "}";
  if (header.size() % 2 == 0) header += " ";
  const uint64_t length = header.size();
  write_text_file(file, std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header + data);
}

TEST(precision_weights_that_cannot_stay_mapped_are_the_same) {
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  for (const SaveDType dtype : {SaveDType::kF32, SaveDType::kBF16, SaveDType::kF16}) {
    for (const bool doubles : {false, true}) {
      const TemporaryFolder temporary;
      const std::string folder = converted("qwen2_5_vl_a", dtype, temporary);
      std::vector<std::vector<float>> expected;
      for (const Precision precision : {Precision::kAuto, Precision::kBF16})
        expected.push_back(Loaded(folder, TrainMode::kNone, precision).log_probs(c));
      write_unmappable(folder + "/model.safetensors", doubles);
      EXPECT_TRUE(same_bits(Loaded(folder, TrainMode::kNone, Precision::kAuto).log_probs(c), expected[0]));
      EXPECT_TRUE(same_bits(Loaded(folder, TrainMode::kNone, Precision::kBF16).log_probs(c), expected[1]));
    }
  }
}

// Else a file that became shorter would end the process, and one with other numbers change the results.
TEST(precision_a_file_that_is_written_to_while_it_is_mapped_is_noticed) {
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  for (const bool shorter : {true, false}) {
    const TemporaryFolder temporary;
    const std::string folder = converted("qwen2_5_vl_a", SaveDType::kBF16, temporary);
    Loaded mapped(folder, TrainMode::kNone, Precision::kAuto);
    mapped.log_probs(c);
    const std::string file = folder + "/model.safetensors";
    if (shorter) std::filesystem::resize_file(file, 64);
    else std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
    EXPECT_ERROR_WITH(ErrorCode::kIo, "was written to while it is in use", mapped.log_probs(c));
    const std::vector<Prompt> prompts{c.prompt};
    EXPECT_ERROR_WITH(ErrorCode::kIo, "was written to", generate(*mapped.model, prompts, {}, StopFlag(), nullptr));
    EXPECT_ERROR_WITH(ErrorCode::kIo, "was written to",
                      save_parameters(*mapped.backend, mapped.model->parameters(), folder + "/new", SaveDType::kBF16,
                                      int64_t{1} << 40));
  }
}

// The files that are replaced are those that the model's weights are mapped from.
TEST(precision_a_mapped_model_can_be_saved_over_itself) {
  const TemporaryFolder temporary;
  const std::string folder = converted("qwen2_5_vl_a", SaveDType::kBF16, temporary);
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  Loaded mapped(folder, TrainMode::kNone, Precision::kAuto);
  const auto expected = mapped.log_probs(c);
  for (const int64_t max_shard_bytes : {int64_t{20'000}, int64_t{1} << 40}) {
    save_parameters(*mapped.backend, mapped.model->parameters(), folder, SaveDType::kBF16, max_shard_bytes);
    EXPECT_TRUE(same_bits(mapped.log_probs(c), expected));
    Loaded again(folder, TrainMode::kNone, Precision::kAuto);
    EXPECT_TRUE(same_bits(again.log_probs(c), expected));
  }
}

TEST(precision_bf16_training_keeps_f32_masters) {
  const TemporaryFolder temporary;
  const std::string folder = converted("qwen2_5_vl_a", SaveDType::kBF16, temporary);
  const GoldenCase c = GoldenCases("qwen2_5_vl_a").get("two_images");
  Loaded bf16(folder, TrainMode::kFull, Precision::kBF16);
  Loaded f32(folder, TrainMode::kFull, Precision::kAuto);
  // Both operands of products are rounded: near, and not the same.
  const std::vector<float> rounded = bf16.log_probs(c);
  EXPECT_TRUE(!same_bits(rounded, f32.log_probs(c)));
  EXPECT_TRUE(relative_error(rounded, to_double(f32.log_probs(c))) < 0.02);
  Objective objective;
  objective.loss.type = LossType::kSft;
  objective.loss.total_tokens = static_cast<int64_t>(c.completion.size());
  AdamWOptions step;
  step.learning_rate = 1e-5f;  // far below what bf16 resolves
  std::map<std::string, std::vector<float>> start;
  for (const Parameter& p : f32.model->parameters().all()) start[p.name] = to_vector(*f32.backend, p.master);
  for (Loaded* m : {&bf16, &f32}) {
    accumulate(*m->model, {c.group()}, objective, StopFlag());
    adamw_step(*m->backend, m->model->parameters(), step);
  }
  int64_t moved = 0, alike = 0;
  for (const Parameter& p : bf16.model->parameters().all()) {
    const auto master = to_vector(*bf16.backend, p.master);
    // The first AdamW step is about the learning rate times the gradient's sign, which bf16 cannot hold.
    const auto other = to_vector(*f32.backend, f32.model->parameters().get(p.name).master);
    for (size_t i = 0; i < master.size(); ++i) {
      EXPECT_TRUE(std::fabs(master[i] - other[i]) < 2.5e-5f);
      moved += other[i] != start[p.name][i];
      alike += other[i] != start[p.name][i] && std::fabs(master[i] - other[i]) < 1e-6f;
    }
    if (p.shape.rank() < 2) continue;
    EXPECT_TRUE(p.value.dtype() == DType::kBF16);
    std::vector<uint16_t> held(master.size());
    bf16.backend->download(p.value, held.data());
    for (size_t i = 0; i < held.size(); ++i) EXPECT_EQ(held[i], f32_to_bf16(master[i]));
  }
  EXPECT_GT(moved, 1000);
  EXPECT_GT(alike * 10, moved * 9);  // nearly all have the gradient's sign
}

}  // namespace
}  // namespace vlmr1
