#include "models/qwen_vl/vision_tower.h"

#include <cmath>
#include <string>

#include "ops/attention.h"
#include "ops/rows.h"

namespace vlmr1::qwen_vl {

Variable VisionAttention::operator()(Graph& graph, const Variable& normed, const Variable& x,
                                     const ops::RopeTable& rope, const std::shared_ptr<const SegmentTree>& tree) const {
  const int64_t e = x.shape().cols();
  const int64_t d = e / heads;
  const AttentionShape shape{heads, heads, d, 1.0f / std::sqrt(static_cast<float>(d)), products};
  const Variable q = ops::rope(graph, qkv.part(graph, normed, 0, e), rope, d);
  const Variable k = ops::rope(graph, qkv.part(graph, normed, e, 2 * e), rope, d);
  const Variable v = qkv.part(graph, normed, 2 * e, 3 * e);
  return proj(graph, ops::attention(graph, q, k, v, tree, shape), &x);
}

VisionAttention vision_attention(ParameterStore& parameters, const std::string& block, int64_t heads) {
  return {nn::linear(parameters, block + ".attn.qkv"), nn::linear(parameters, block + ".attn.proj"), heads,
          parameters.activation_products()};
}

Variable split_rows(Graph& graph, const Variable& x, int64_t parts) {
  return ops::reshape(graph, x, {x.shape()[0] * parts, x.shape()[1] / parts});
}

Variable join_rows(Graph& graph, const Variable& x, int64_t parts) {
  return ops::reshape(graph, x, {x.shape()[0] / parts, x.shape()[1] * parts});
}

}  // namespace vlmr1::qwen_vl
