// Patches as the Qwen2-VL processor of transformers packs them.
#include <cmath>
#include <cstddef>

#include "core/error.h"
#include "image/resample.h"

namespace vlmr1 {

namespace {

constexpr int kChannels = 3;
constexpr int32_t kMaxPatchSide = 1 << 12;
constexpr int64_t kMaxNumbers = int64_t{1} << 29;  // 2 GiB of pixel values

void check_options(const PatchOptions& options) {
  const auto check_side = [](const char* name, int32_t value) {
    check(value > 0 && value <= kMaxPatchSide, ErrorCode::kArgument, "pack_patches: ", name, ": expected 1 to ",
          kMaxPatchSide, ", got ", value);
  };
  check_side("patch_size", options.patch_size);
  check_side("temporal_patch_size", options.temporal_patch_size);
  check_side("merge_size", options.merge_size);
  check(std::isfinite(options.rescale_factor), ErrorCode::kArgument, "pack_patches: rescale_factor is not finite");
  for (int c = 0; c < kChannels; ++c) {
    const float mean = options.mean[static_cast<size_t>(c)];
    const float std = options.std[static_cast<size_t>(c)];
    check(std::isfinite(mean) && std::isfinite(std) && std != 0.0f, ErrorCode::kArgument,
          "pack_patches: expected finite means and finite stds that are not 0, got ", mean, " and ", std);
  }
}

// What each of the 256 pixel values becomes, per channel: rescaled in double and rounded to float, then normalised in
// float, in the order of numpy's operations.
std::array<std::array<float, 256>, kChannels> normalised_values(const PatchOptions& options) {
  std::array<std::array<float, 256>, kChannels> table{};
  for (size_t c = 0; c < kChannels; ++c)
    for (size_t pixel = 0; pixel < 256; ++pixel) {
      const auto rescaled = static_cast<float>(static_cast<double>(pixel) * options.rescale_factor);
      table[c][pixel] = (rescaled - options.mean[c]) / options.std[c];
    }
  return table;
}

}  // namespace

Picture pack_patches(const std::vector<uint8_t>& rgb, int64_t width, int64_t height, const PatchOptions& options) {
  check_options(options);
  const int64_t side = options.patch_size;
  const int64_t merge = options.merge_size;
  const int64_t block = side * merge;
  check(width > 0 && height > 0 && width % block == 0 && height % block == 0, ErrorCode::kArgument,
        "pack_patches: expected sides that are multiples of ", block, " (patch_size · merge_size), got ", width, " × ",
        height);
  check(static_cast<int64_t>(rgb.size()) / kChannels / width == height &&
            static_cast<int64_t>(rgb.size()) == width * height * kChannels,
        ErrorCode::kArgument, "pack_patches: expected ", width, " × ", height, " × 3 bytes, got ", rgb.size());
  check(static_cast<int64_t>(rgb.size()) <= kMaxNumbers / options.temporal_patch_size, ErrorCode::kArgument,
        "pack_patches: ", width, " × ", height, " pixels make more than ", kMaxNumbers, " numbers");
  const auto table = normalised_values(options);
  const int64_t frame = side * side;

  Picture picture;
  picture.grid = {1, static_cast<int32_t>(height / side), static_cast<int32_t>(width / side)};
  picture.pixel_values.resize(static_cast<size_t>(width * height * kChannels * options.temporal_patch_size));
  float* to = picture.pixel_values.data();
  // [height / block, width / block, merge, merge] patches of [channel, time, side, side].
  const auto pack_patch = [&](int64_t top, int64_t left) {
    for (int64_t c = 0; c < kChannels; ++c) {
      const std::array<float, 256>& values = table[static_cast<size_t>(c)];
      const float* first_frame = to;
      for (int64_t y = 0; y < side; ++y) {
        const uint8_t* from = rgb.data() + ((top + y) * width + left) * kChannels + c;
        for (int64_t x = 0; x < side; ++x) *to++ = values[from[x * kChannels]];
      }
      for (int32_t t = 1; t < options.temporal_patch_size; ++t)
        for (int64_t i = 0; i < frame; ++i) *to++ = first_frame[i];
    }
  };
  for (int64_t block_y = 0; block_y < height; block_y += block)
    for (int64_t block_x = 0; block_x < width; block_x += block)
      for (int64_t y = 0; y < block; y += side)
        for (int64_t x = 0; x < block; x += side) pack_patch(block_y + y, block_x + x);
  return picture;
}

}  // namespace vlmr1
