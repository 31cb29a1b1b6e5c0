// PIL's bicubic resize, bit for bit, and the patch packing of the Qwen2-VL processor.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "models/inputs.h"

namespace vlmr1 {

// RGB, 8 bit, row-major [height, width, 3]. Antialiased cubic a = -0.5, 22-bit fixed point, horizontal then vertical.
std::vector<uint8_t> resize_bicubic(const uint8_t* rgb, int64_t width, int64_t height, int64_t out_width,
                                    int64_t out_height);

struct PatchOptions {
  int32_t patch_size = 14;
  int32_t temporal_patch_size = 2;
  int32_t merge_size = 2;
  std::array<float, 3> mean{};
  std::array<float, 3> std{};
  double rescale_factor = 1.0 / 255.0;
};

// (pixel · rescale_factor − mean) / std, cut into patches in merge-block order; a still picture is repeated along time.
// Throws ERR_ARGUMENT when a side is not a multiple of patch_size · merge_size.
Picture pack_patches(const std::vector<uint8_t>& rgb, int64_t width, int64_t height, const PatchOptions& options);

}  // namespace vlmr1
