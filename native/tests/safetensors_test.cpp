#include "io/safetensors.h"

#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "core/float16.h"
#include "core/random.h"
#include "io/files.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using testing::TemporaryFolder;

// A file with this header and `data_bytes` of data.
std::string file_text(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text + header + std::string(data_bytes, '\0');
}

TEST(safetensors_round_trip) {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.safetensors");
  const std::vector<float> values = {1.0f, -2.5f, 3e-5f, 65519.0f, 1e-8f, 0.0f};
  const std::vector<int32_t> ids = {7, -1};
  write_safetensors(path,
                    {{"half", "F16", {6}, values.data(), {}},
                     {"brain", "BF16", {3}, values.data(), {}},
                     {"full", "F32", {2, 3}, nullptr, [&] { return static_cast<const void*>(values.data()); }},
                     {"ids", "I32", {2}, ids.data(), {}},
                     {"none", "F32", {0, 4}, nullptr, {}},
                     {"scalar", "F32", {}, values.data(), {}}},
                    {{"format", "pt"}, {"odd \"key\"\n", "é\\"}});
  const SafetensorsFile file(path);
  EXPECT_EQ(file.tensors().size(), 6u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("odd \"key\"\n"), "é\\");
  EXPECT_EQ(file.get("full").shape, (std::vector<int64_t>{2, 3}));
  std::vector<float> got(6);
  read_f32(file.get("full"), got.data());
  EXPECT_TRUE(testing::same_bits(got, values));
  read_f32(file.get("half"), got.data());
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(got[i], f16_to_f32(f32_to_f16(values[i])));
  read_f32(file.get("brain"), got.data());
  EXPECT_EQ(got[1], -2.5f);
  std::vector<int32_t> got_ids(2);
  read_i32(file.get("ids"), got_ids.data());
  EXPECT_EQ(got_ids, ids);
  EXPECT_EQ(file.get("none").numel(), 0);
  EXPECT_EQ(file.get("scalar").numel(), 1);
  for (const auto& [name, tensor] : file.tensors())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % (tensor.dtype == "F32" || tensor.dtype == "I32" ? 4 : 2), 0u);
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "no tensor \"nope\"", file.get("nope"));
  EXPECT_ERROR(ErrorCode::kDType, read_i32(file.get("full"), got_ids.data()));
  EXPECT_ERROR(ErrorCode::kDType, read_f32(file.get("ids"), got.data()));
}

TEST(safetensors_malformed_files) {
  const std::string meta = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  const struct {
    std::string text, message;
  } cases[] = {
      {"", "expected at least 8 bytes, got 0"},
      {"1234567", "expected at least 8 bytes, got 7"},
      {std::string(8, '\xff'), "claims a header of 18446744073709551615 bytes"},
      {std::string("\x00\xe1\xf5\x06\0\0\0\0", 8), "claims a header of 116777216"},
      {file_text(meta, 8).substr(0, 30), "cut off: the header takes"},
      {file_text("", 0), "header:1:1: expected a value"},
      {file_text("[]", 0), "expected an object, got an array"},
      {file_text("{\"a\":", 0), "expected a value, got the end"},
      {file_text("<html>", 0), "expected a value, got '<'"},
      {file_text(R"({"a":{}})", 0), "a: \"dtype\" is missing"},
      {file_text(R"({"a":7})", 0), "a: expected an object, got a number"},
      {file_text(R"({"a":{"dtype":"F32","data_offsets":[0,0]}})", 0), "\"shape\" is missing"},
      {file_text(R"({"__metadata__":{"a":1}})", 0), "__metadata__.a: expected a string"},
      {file_text(R"({"a":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}})", 4), "stands twice"},
      {file_text(entry("F33", "[2]", "[0,8]"), 8), "tensor \"a\": unknown dtype \"F33\""},
      {file_text(entry("F32", "[-2]", "[0,8]"), 8), "negative axis -2"},
      {file_text(entry("F32", "[2.5]", "[0,8]"), 8), "shape[0]: expected an integer"},
      {file_text(entry("F32", "[\"2\"]", "[0,8]"), 8), "shape[0]: expected an integer"},
      {file_text(entry("F32", "2", "[0,8]"), 8), "shape: expected an array"},
      {file_text(entry("F32", "[4294967296,4294967296]", "[0,8]"), 8), "product of its axes exceeds 64 bits"},
      {file_text(entry("F32", "[4611686018427387904]", "[0,0]"), 0), "product of its axes exceeds 64 bits"},
      {file_text(entry("F32", "[99999999999999999999]", "[0,8]"), 8), "expected an integer of at most 64 bits"},
      {file_text(entry("F32", "[2]", "[0]"), 8), "expected [begin, end], got 1 numbers"},
      {file_text(entry("F32", "[2]", "[-8,0]"), 8), "lie outside"},
      {file_text(entry("F32", "[2]", "[8,0]"), 8), "lie outside"},
      {file_text(entry("F32", "[2]", "[0,8]"), 7), "lie outside the file's 7 bytes"},
      {file_text(entry("F32", "[2]", "[0,9223372036854775807]"), 8), "lie outside"},
      {file_text(entry("F32", "[2]", "[0,4]"), 8), "take 8 bytes, data_offsets hold 4"},
      {file_text(entry("F32", "[2]", "[0,8]"), 9), "the tensors take 8 bytes, the file holds 9"},
      {file_text(entry("F32", "[2]", "[4,12]"), 12), "leaves a gap after the tensor before it"},
      {file_text(two("[0,4]", "[2,6]"), 6), "tensor \"b\": overlaps"},
      {file_text(two("[0,4]", "[0,4]"), 4), "overlaps"},
      {file_text(two("[0,4]", "[5,9]"), 9), "leaves a gap"},
      {file_text("{}", 4), "the tensors take 0 bytes"},
  };
  const TemporaryFolder folder;
  const std::string path = folder.file("bad.safetensors");
  for (const auto& c : cases) {
    write_text_file(path, c.text);
    EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, c.message, SafetensorsFile{path});
  }
  EXPECT_ERROR_WITH(ErrorCode::kIo, "No such file", SafetensorsFile{folder.file("none")});
  EXPECT_ERROR_WITH(ErrorCode::kIo, "not a regular file", SafetensorsFile{folder.path()});
}

// Whatever a damaged file holds, it is read within its bounds or refused (run under a sanitizer, this proves it).
TEST(safetensors_damaged_files_are_read_or_refused) {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.safetensors");
  const std::vector<float> values(64, 1.5f);
  write_safetensors(path, {{"a", "F32", {4, 16}, values.data()}, {"b", "F16", {3, 5}, values.data()}}, {{"k", "v"}});
  const std::string good = read_text_file(path);
  const std::string_view replacements = "0123456789{}[]\",:-eE.\\\xff";
  int refused = 0;
  for (uint64_t round = 0; round < 3000; ++round) {
    std::string text = good;
    for (uint64_t i = 0; i <= round % 3; ++i) {
      const size_t at = random_bits(1, round, i, 0) % (good.size() / 2);
      text[at] = replacements[random_bits(1, round, i, 1) % replacements.size()];
    }
    if (round % 5 == 0) text.resize(random_bits(1, round, 0, 2) % text.size());
    std::ofstream(path, std::ios::binary) << text;  // not flushed to disk: there are many
    try {
      const SafetensorsFile file(path);
      for (const auto& [name, tensor] : file.tensors()) {
        std::vector<float> floats(static_cast<size_t>(tensor.numel()));
        if (tensor.dtype == "F32" || tensor.dtype == "F16") read_f32(tensor, floats.data());
      }
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1500);
}

TEST(safetensors_unaligned_data) {
  const TemporaryFolder folder;
  const std::string path = folder.file("odd.safetensors");
  std::string text = file_text(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} )", 4);
  if (text.size() % 2 == 0) text = file_text(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  const float one = 1.0f;
  std::memcpy(text.data() + text.size() - 4, &one, 4);
  write_text_file(path, text);
  const SafetensorsFile file(path);
  float got = 0.0f;
  read_f32(file.get("a"), &got);
  EXPECT_EQ(got, 1.0f);
}

TEST(safetensors_i64_must_fit) {
  const TemporaryFolder folder;
  const std::string path = folder.file("i.safetensors");
  std::string text = file_text(R"({"a":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}})", 16);
  const int64_t values[] = {-5, int64_t{1} << 31};
  std::memcpy(text.data() + text.size() - 16, values, 16);
  write_text_file(path, text);
  const SafetensorsFile file(path);
  std::vector<int32_t> got(2);
  EXPECT_ERROR_WITH(ErrorCode::kCheckpoint, "2147483648 does not fit", read_i32(file.get("a"), got.data()));
  EXPECT_EQ(got[0], -5);
}

TEST(safetensors_rejects_bad_requests) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x");
  const float value = 0.0f;
  EXPECT_ERROR(ErrorCode::kArgument, write_safetensors(path, {{"a", "F64", {1}, &value, {}}}, {}));
  EXPECT_ERROR(ErrorCode::kArgument, write_safetensors(path, {{"a", "F32", {-1}, &value, {}}}, {}));
  EXPECT_ERROR(ErrorCode::kArgument, write_safetensors(path, {{"__metadata__", "F32", {1}, &value, {}}}, {}));
  EXPECT_ERROR(ErrorCode::kArgument,
               write_safetensors(path, {{"a", "F32", {1}, &value, {}}, {"a", "F32", {1}, &value, {}}}, {}));
  EXPECT_ERROR(ErrorCode::kArgument, write_safetensors(path, {{"a", "F32", {1}, nullptr, {}}}, {}));
  EXPECT_ERROR(ErrorCode::kIo, write_safetensors(folder.file("no/such/x"), {}, {}));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_safetensors(path, {}, {});
  EXPECT_TRUE(SafetensorsFile(path).tensors().empty());
}

// Counts what is in a folder after a write that the system cut short.
TEST(safetensors_full_disk_leaves_the_old_file) {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.safetensors");
  const std::vector<float> values(1 << 16, 2.0f);
  write_safetensors(path, {{"a", "F32", {1}, values.data(), {}}}, {});
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  std::string message;
  try {
    write_safetensors(path, {{"a", "F32", {1 << 16}, values.data(), {}}}, {});
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_CONTAINS(message, "cannot write " + path);
  EXPECT_EQ(SafetensorsFile(path).get("a").numel(), 1);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(float16_round_trips_every_half) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = f16_to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    else EXPECT_EQ(f32_to_f16(value), static_cast<uint16_t>(bits));
  }
}

TEST(float16_rounds_to_nearest_even) {
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-10f + 0x1p-11f), 0x3c02);
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f + 0x1p-20f), 0x3c01);
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);
  EXPECT_EQ(f32_to_f16(0x1.8p-25f), 0x0001);
  EXPECT_EQ(f32_to_f16(0x1.8p-24f), 0x0002);
  EXPECT_EQ(f32_to_f16(-0x1p-24f), 0x8001);
  EXPECT_EQ(f32_to_f16(std::nextafter(0x1p-14f, 0.0f)), 0x0400);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
}

}  // namespace
}  // namespace vlmr1
