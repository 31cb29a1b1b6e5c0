// What callers hand to a model: prompts with pictures, and completions that hang from them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace vlmr1 {

struct Picture {
  // [P, channels · temporal_patch_size · patch_size²], patches in merge-block order.
  std::vector<float> pixel_values;
  // Patches along time, height, width.
  std::array<int32_t, 3> grid{};
  int64_t patches() const { return int64_t{grid[0]} * grid[1] * grid[2]; }
};

struct Prompt {
  // Each picture stands as t·h·w / merge² image-pad tokens.
  std::vector<int32_t> tokens;
  std::vector<std::shared_ptr<const Picture>> pictures;
};

struct Group {
  Prompt prompt;
  std::vector<std::vector<int32_t>> completions;
};

}  // namespace vlmr1
