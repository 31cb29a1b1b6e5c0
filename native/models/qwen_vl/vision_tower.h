// What a family's vision tower does for the model, and the layers that all of them have.
#pragma once

#include <memory>
#include <vector>

#include "autograd/graph.h"
#include "core/trace.h"
#include "models/qwen_vl/patches.h"
#include "nn/layers.h"
#include "ops/activation.h"

namespace vlmr1::qwen_vl {

// The features of pictures come in two steps, so that those of a frozen tower can be kept while its merger trains.
class VisionTower {
 public:
  virtual ~VisionTower() = default;
  // [P / merge², merge² · E]: the patches of a token side by side, tokens in picture order.
  virtual Variable features(Graph& graph, const Pictures& pictures) const = 0;
  // [N, merge² · E] → [N, decoder's E], a token at a time.
  virtual Variable merge(Graph& graph, const Variable& features) const = 0;
};

// Attention of a block, q, k and v in one tensor: x [P, E] + proj(attention(norm)).
struct VisionAttention {
  nn::Linear qkv, proj;
  int64_t heads = 0;
  DType products = DType::kF32;
  Variable operator()(Graph& graph, const Variable& normed, const Variable& x, const ops::RopeTable& rope,
                      const std::shared_ptr<const SegmentTree>& tree) const;
};

// Between rows of patches and rows of tokens: [N, A · B] ↔ [N · A, B].
Variable split_rows(Graph& graph, const Variable& x, int64_t parts);
Variable join_rows(Graph& graph, const Variable& x, int64_t parts);

// A norm of every patch, then an MLP over the patches of a token: [N, unit · E] → [N, decoder's E].
template <typename Norm>
struct Merger {
  Norm norm;
  nn::Linear in, out;
  int64_t unit = 0;  // patches of a token
  Variable operator()(Graph& graph, const Variable& features) const {
    const Span span("merger", "tokens", features.shape().rows());
    const Variable normed = norm(graph, split_rows(graph, features, unit));
    return out(graph, ops::gelu(graph, in(graph, join_rows(graph, normed, unit)), GeluKind::kExact));
  }
};

VisionAttention vision_attention(ParameterStore& parameters, const std::string& block, int64_t heads);

template <typename Norm>
Merger<Norm> merger(ParameterStore& parameters, Norm norm, int64_t unit) {
  return {norm, nn::linear(parameters, "visual.merger.mlp.0"), nn::linear(parameters, "visual.merger.mlp.2"), unit};
}

}  // namespace vlmr1::qwen_vl
