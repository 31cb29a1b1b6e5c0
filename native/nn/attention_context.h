// How a decoder's attention finds its keys: in the batch itself (training), or in a cache that grows (generation).
#pragma once

#include <memory>
#include <vector>

#include "autograd/graph.h"
#include "core/segments.h"

namespace vlmr1 {

class AttentionContext {
 public:
  virtual ~AttentionContext() = default;
  virtual Variable attend(Graph& graph, int layer, const Variable& q, const Variable& k, const Variable& v,
                          const AttentionShape& shape) = 0;
};

class TreeAttention final : public AttentionContext {
 public:
  explicit TreeAttention(std::shared_ptr<const SegmentTree> tree) : tree_(std::move(tree)) {}
  Variable attend(Graph& graph, int layer, const Variable& q, const Variable& k, const Variable& v,
                  const AttentionShape& shape) override;

 private:
  std::shared_ptr<const SegmentTree> tree_;
};

// The tree of a batch that is being generated. `runs` are the tokens of the next forward pass. Segments that were
// released give their place to later ones: the tree is as large as what is held at once.
class KvCache final : public AttentionContext {
 public:
  int32_t add_segment(int32_t parent);
  // Announces `count` new tokens of a segment for the next forward pass, in the order of the batch.
  void extend(int32_t segment, int32_t count);
  void clear_runs() { runs_.clear(); }
  // Forgets the tokens of the runs, whatever layers have appended of them: after a forward pass that failed.
  void take_back_runs(Backend& backend);
  // Nothing that is not released may hang from it.
  void release(Backend& backend, int32_t segment);
  size_t places() const { return tree_.segments.size(); }
  int32_t length(int32_t segment) const { return tree_.segments[segment].length; }
  Variable attend(Graph& graph, int layer, const Variable& q, const Variable& k, const Variable& v,
                  const AttentionShape& shape) override;

 private:
  SegmentTree tree_;
  std::vector<int32_t> free_;  // places in the tree
  std::vector<QueryRun> runs_;
  std::vector<std::unique_ptr<KvStore>> layers_;
};

}  // namespace vlmr1
