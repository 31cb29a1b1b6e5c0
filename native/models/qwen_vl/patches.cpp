#include "models/qwen_vl/patches.h"

#include <cstring>
#include <numeric>
#include <utility>

#include "models/qwen_vl/rope_tables.h"

namespace vlmr1::qwen_vl {

std::vector<int32_t> picture_order(const Pictures& pictures) {
  int64_t total = 0;
  for (const auto& picture : pictures) total += picture->patches();
  std::vector<int32_t> order(static_cast<size_t>(total));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

void add_block(SegmentTree& tree, int32_t length) {
  tree.segments.push_back({tree.tokens, length, -1, false});
  tree.tokens += length;
}

std::shared_ptr<SegmentTree> frame_tree(const Pictures& pictures) {
  auto tree = std::make_shared<SegmentTree>();
  for (const auto& picture : pictures)
    for (int32_t t = 0; t < picture->grid[0]; ++t) add_block(*tree, picture->grid[1] * picture->grid[2]);
  return tree;
}

Tensor upload_patches(Backend& backend, const PatchConfig& config, const Pictures& pictures,
                      const std::vector<int32_t>& order) {
  const int64_t elements = config.elements();
  const int64_t patches = static_cast<int64_t>(order.size());
  Tensor x = backend.empty({patches, elements});
  if (backend.dry_run()) return x;  // where pictures have no values
  std::vector<const float*> rows;
  for (const auto& picture : pictures)
    for (int64_t i = 0; i < picture->patches(); ++i) rows.push_back(picture->pixel_values.data() + i * elements);
  std::vector<float> pixels(static_cast<size_t>(patches * elements));
  for (int64_t i = 0; i < patches; ++i)
    std::memcpy(&pixels[i * elements], rows[order[i]], static_cast<size_t>(elements) * sizeof(float));
  backend.upload(x, pixels.data());
  return x;
}

namespace {

// Row and column of every patch, in picture order.
std::vector<std::pair<int32_t, int32_t>> patch_places(const Pictures& pictures, int32_t merge) {
  std::vector<std::pair<int32_t, int32_t>> places;
  for (const auto& picture : pictures) {
    for (int32_t t = 0; t < picture->grid[0]; ++t)
      for (int32_t y = 0; y < picture->grid[1]; y += merge)
        for (int32_t x = 0; x < picture->grid[2]; x += merge)
          for (int32_t i = 0; i < merge; ++i)
            for (int32_t j = 0; j < merge; ++j) places.emplace_back(y + i, x + j);
  }
  return places;
}

}  // namespace

ops::RopeTable patch_rope(Backend& backend, const PatchConfig& config, int64_t head_size, const Pictures& pictures,
                          const std::vector<int32_t>& order) {
  const int64_t half = head_size / 2;
  const std::vector<float> frequency = inverse_frequencies(config.rope_theta, half);
  const auto places = patch_places(pictures, static_cast<int32_t>(config.merge_size));
  std::vector<float> angles(order.size() * static_cast<size_t>(half));
  for (size_t p = 0; p < order.size(); ++p) {
    const auto [row, column] = places[order[p]];
    for (int64_t i = 0; i < half / 2; ++i) {
      angles[p * half + i] = static_cast<float>(row) * frequency[i];
      angles[p * half + half / 2 + i] = static_cast<float>(column) * frequency[i];
    }
  }
  return upload_angles(backend, angles, half);
}

}  // namespace vlmr1::qwen_vl
