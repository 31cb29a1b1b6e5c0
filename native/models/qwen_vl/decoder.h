#pragma once

#include <vector>

#include "autograd/graph.h"
#include "models/qwen_vl/config.h"
#include "nn/attention_context.h"
#include "nn/layers.h"
#include "ops/rope.h"

namespace vlmr1::qwen_vl {

class Decoder {
 public:
  Decoder(const TextConfig& config, ParameterStore& parameters, bool checkpointing);

  Variable embed(Graph& graph, const std::vector<int32_t>& tokens) const;
  // x [T, E] → [T, E], before the final norm.
  Variable layers(Graph& graph, Variable x, const ops::RopeTable& rope, AttentionContext& attention) const;
  Variable final_norm(Graph& graph, const Variable& rows) const { return norm_(graph, rows); }
  const Parameter& head() const { return *head_; }

 private:
  struct Layer {
    nn::RmsNorm input_norm, post_norm;
    nn::Linear q, k, v, o;
    nn::SwigluMlp mlp;
  };
  Variable layer(Graph& graph, int index, const Variable& x, const ops::RopeTable& rope,
                 AttentionContext& attention) const;

  TextConfig config_;
  bool checkpointing_;
  DType products_;
  const Parameter* embedding_;
  const Parameter* head_;
  nn::RmsNorm norm_;
  std::vector<Layer> layers_;
};

}  // namespace vlmr1::qwen_vl
