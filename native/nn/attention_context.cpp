#include "nn/attention_context.h"

#include <algorithm>

#include "ops/attention.h"

namespace vlmr1 {

Variable TreeAttention::attend(Graph& graph, int, const Variable& q, const Variable& k, const Variable& v,
                               const AttentionShape& shape) {
  return ops::attention(graph, q, k, v, tree_, shape);
}

int32_t KvCache::add_segment(int32_t parent) {
  if (!free_.empty()) {
    const int32_t place = free_.back();
    free_.pop_back();
    tree_.segments[place] = {0, 0, parent, true};
    return place;
  }
  tree_.segments.push_back({0, 0, parent, true});
  free_.reserve(tree_.segments.capacity());  // so that nothing is allocated for a release
  return static_cast<int32_t>(tree_.segments.size()) - 1;
}

void KvCache::extend(int32_t segment, int32_t count) {
  Segment& s = tree_.segments[segment];
  runs_.push_back({segment, s.length, count});
  s.length += count;
}

void KvCache::take_back_runs(Backend& backend) {
  for (const QueryRun& run : runs_) {
    Segment& s = tree_.segments[run.segment];
    s.length = std::min(s.length, run.first);
    for (auto& layer : layers_) backend.kv_truncate(*layer, run.segment, s.length);
  }
  runs_.clear();
}

void KvCache::release(Backend& backend, int32_t segment) {
  for (auto& layer : layers_) backend.kv_release(*layer, segment);
  tree_.segments[segment] = {};
  free_.push_back(segment);
}

Variable KvCache::attend(Graph& graph, int layer, const Variable& q, const Variable& k, const Variable& v,
                         const AttentionShape& shape) {
  check(!graph.recording(), ErrorCode::kState, "a key/value cache has no gradient");
  Backend& backend = graph.backend();
  while (static_cast<int>(layers_.size()) <= layer) layers_.push_back(backend.kv_create(shape));
  backend.kv_append(*layers_[layer], runs_, k.value(), v.value());
  Tensor out = backend.empty(q.shape());
  backend.kv_attention(q.value(), *layers_[layer], tree_, runs_, shape, out);
  return Variable(out);
}

}  // namespace vlmr1
