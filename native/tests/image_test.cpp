#include <limits>

#include "core/random.h"
#include "image/resample.h"
#include "tests/golden.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

// The CLIP normalisation of the Qwen2-VL processor.
PatchOptions clip_options() {
  PatchOptions options;
  options.mean = {0.48145466f, 0.4578275f, 0.40821073f};
  options.std = {0.26862954f, 0.26130258f, 0.27577711f};
  return options;
}

std::vector<uint8_t> noise(int64_t width, int64_t height) {
  std::vector<uint8_t> rgb(static_cast<size_t>(width * height * 3));
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(random_bits(5, i, 0, 0));
  return rgb;
}

TEST(image_resize_equals_pil) {
  const Json golden = testing::golden_json("images/images.json");
  const testing::GoldenTensors tensors("images/images.safetensors");
  for (const Json& image : golden.at("images").as_array()) {
    const std::string name = image.at("name").as_string();
    const auto got =
        resize_bicubic(tensors.u8(name + ".rgb").data(), image.at("width").as_int(), image.at("height").as_int(),
                       image.at("resized_width").as_int(), image.at("resized_height").as_int());
    EXPECT_EQ(got, tensors.u8(name + ".resized"));
  }
}

TEST(image_patches_equal_the_processor) {
  const Json golden = testing::golden_json("images/images.json");
  const testing::GoldenTensors tensors("images/images.safetensors");
  for (const Json& image : golden.at("images").as_array()) {
    const std::string name = image.at("name").as_string();
    const Picture picture = pack_patches(tensors.u8(name + ".resized"), image.at("resized_width").as_int(),
                                         image.at("resized_height").as_int(), clip_options());
    EXPECT_EQ(picture.grid, (std::array<int32_t, 3>{1, static_cast<int32_t>(image.at("grid").as_array()[1].as_int()),
                                                    static_cast<int32_t>(image.at("grid").as_array()[2].as_int())}));
    EXPECT_LE(testing::max_absolute_error(picture.pixel_values, tensors.f32(name + ".pixel_values")), 2e-7);
  }
}

TEST(image_resize_to_the_same_size_copies) {
  const auto rgb = noise(31, 17);
  EXPECT_EQ(resize_bicubic(rgb.data(), 31, 17, 31, 17), rgb);
}

TEST(image_resize_keeps_flat_colours) {
  const std::vector<uint8_t> flat(40 * 30 * 3, 137);
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 90}, {333, 2}, {40, 90}, {80, 30}, {3, 3}}) {
    const auto got = resize_bicubic(flat.data(), 40, 30, width, height);
    EXPECT_EQ(got, std::vector<uint8_t>(static_cast<size_t>(width * height * 3), 137));
  }
}

TEST(image_resize_clips_overshoot) {
  // A hard edge: the cubic's negative lobes leave the range of a byte on both sides.
  std::vector<uint8_t> rgb;
  for (int x = 0; x < 8; ++x) rgb.insert(rgb.end(), 3, x < 4 ? 0 : 255);
  const auto got = resize_bicubic(rgb.data(), 8, 1, 64, 1);
  for (size_t x = 1; x < 64; ++x) EXPECT_GE(got[3 * x], x < 36 ? got[3 * (x - 1)] : uint8_t{255});
  EXPECT_EQ(got[0], 0);
}

TEST(image_resize_refuses_bad_sizes) {
  const auto rgb = noise(4, 4);
  EXPECT_ERROR(ErrorCode::kArgument, resize_bicubic(rgb.data(), 0, 4, 4, 4));
  EXPECT_ERROR(ErrorCode::kArgument, resize_bicubic(rgb.data(), 4, 4, 4, -1));
  EXPECT_ERROR(ErrorCode::kArgument, resize_bicubic(rgb.data(), 4, 4, 1 << 20, 1 << 20));
  EXPECT_ERROR(ErrorCode::kArgument, resize_bicubic(rgb.data(), 4, 4, int64_t{1} << 40, 1));
}

TEST(image_patches_follow_merge_blocks) {
  PatchOptions options;
  options.patch_size = 1;
  options.temporal_patch_size = 3;
  options.merge_size = 2;
  options.std = {1.0f, 1.0f, 1.0f};
  options.rescale_factor = 1.0;
  // Pixel values count up in rows of four; the channels differ by 100.
  std::vector<uint8_t> rgb;
  for (int i = 0; i < 8; ++i)
    for (int c = 0; c < 3; ++c) rgb.push_back(static_cast<uint8_t>(i + 100 * (c % 2)));
  const Picture picture = pack_patches(rgb, 4, 2, options);
  EXPECT_EQ(picture.grid, (std::array<int32_t, 3>{1, 2, 4}));
  std::vector<float> expected;
  for (const int i : {0, 1, 4, 5, 2, 3, 6, 7})
    for (int c = 0; c < 3; ++c) expected.insert(expected.end(), 3, static_cast<float>(i + 100 * (c % 2)));
  EXPECT_EQ(picture.pixel_values, expected);
}

TEST(image_patches_refuse_bad_arguments) {
  const auto rgb = noise(56, 28);
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "multiples of 28", pack_patches(rgb, 55, 28, clip_options()));
  EXPECT_ERROR_WITH(ErrorCode::kArgument, "56 × 56 × 3 bytes", pack_patches(rgb, 56, 56, clip_options()));
  PatchOptions options = clip_options();
  options.std[1] = 0.0f;
  EXPECT_ERROR(ErrorCode::kArgument, pack_patches(rgb, 56, 28, options));
  options = clip_options();
  options.rescale_factor = std::numeric_limits<double>::quiet_NaN();
  EXPECT_ERROR(ErrorCode::kArgument, pack_patches(rgb, 56, 28, options));
  options = clip_options();
  options.merge_size = 0;
  EXPECT_ERROR(ErrorCode::kArgument, pack_patches(rgb, 56, 28, options));
}

}  // namespace
}  // namespace vlmr1
