#include "core/segments.h"

#include <algorithm>

#include "core/error.h"

namespace vlmr1 {

void SegmentTree::validate() const {
  int64_t next = 0;  // lengths that overflow 32 bits together must not look right
  for (size_t i = 0; i < segments.size(); ++i) {
    const Segment& s = segments[i];
    check(s.length > 0, ErrorCode::kTree, "segment ", i, ": expected a length above 0, got ", s.length);
    check(s.start == next, ErrorCode::kTree, "segment ", i, ": expected start ", next, ", got ", s.start);
    check(s.parent >= -1 && s.parent < static_cast<int32_t>(i), ErrorCode::kTree, "segment ", i,
          ": expected an earlier segment as parent, got ", s.parent);
    next += s.length;
  }
  check(next == tokens, ErrorCode::kTree, "segments cover ", next, " tokens, expected ", tokens);
}

std::vector<int32_t> SegmentTree::ancestors(int32_t segment) const {
  std::vector<int32_t> chain;
  for (int32_t p = segments[segment].parent; p >= 0; p = segments[p].parent) chain.push_back(p);
  std::reverse(chain.begin(), chain.end());
  return chain;
}

std::vector<int32_t> SegmentTree::descendants(int32_t segment) const {
  std::vector<int32_t> below;
  std::vector<char> inside(segments.size(), 0);
  inside[segment] = 1;
  for (size_t i = segment + 1; i < segments.size(); ++i) {
    if (segments[i].parent >= 0 && inside[segments[i].parent]) {
      inside[i] = 1;
      below.push_back(static_cast<int32_t>(i));
    }
  }
  return below;
}

}  // namespace vlmr1
