// Groups packed into one batch of tokens: each prompt once, its completions as children.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/segments.h"
#include "models/inputs.h"

namespace vlmr1 {

struct PackedBatch {
  std::vector<int32_t> tokens;                    // [T]
  std::array<std::vector<int32_t>, 3> positions;  // [3][T]: time, height, width
  std::shared_ptr<SegmentTree> tree;
  std::vector<std::shared_ptr<const Picture>> pictures;  // each picture once
  std::vector<int32_t> picture_rows;                     // rows of the batch that take picture features …
  std::vector<int32_t> picture_sources;                  // … and which merged patch (over all pictures) goes there

  // Empty, with the memory that it has.
  void clear() {
    tokens.clear();
    for (auto& axis : positions) axis.clear();
    tree.reset();
    pictures.clear();
    picture_rows.clear();
    picture_sources.clear();
  }
};

}  // namespace vlmr1
