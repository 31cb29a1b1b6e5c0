// The one description of who sees whom.
//
// A packed batch is T tokens cut into segments. A token sees the earlier tokens of its own segment (all of them where
// `causal` is false) and all tokens of the segment's ancestors. A plain sequence is one segment; a GRPO group is a
// prompt segment and G children; a vision window is a non-causal segment.
#pragma once

#include <cstdint>
#include <vector>

namespace vlmr1 {

struct Segment {
  int32_t start = 0;    // first token
  int32_t length = 0;   // tokens; > 0
  int32_t parent = -1;  // index of an earlier segment, or -1
  bool causal = true;
};

struct SegmentTree {
  std::vector<Segment> segments;
  int32_t tokens = 0;

  // Segments follow each other without gaps and cover all tokens; parents come before children. Throws ERR_TREE.
  void validate() const;
  // Root first, without the segment itself.
  std::vector<int32_t> ancestors(int32_t segment) const;
  // All segments below this one, in order.
  std::vector<int32_t> descendants(int32_t segment) const;
};

}  // namespace vlmr1
