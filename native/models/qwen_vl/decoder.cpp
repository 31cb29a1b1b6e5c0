#include "models/qwen_vl/decoder.h"

#include <cmath>
#include <string>

#include "core/trace.h"
#include "ops/rows.h"

namespace vlmr1::qwen_vl {

Decoder::Decoder(const TextConfig& config, ParameterStore& p, bool checkpointing)
    : config_(config), checkpointing_(checkpointing), products_(p.activation_products()) {
  const float eps = static_cast<float>(config.rms_eps);
  const auto linear = [&p](const std::string& name) { return nn::linear(p, name); };
  embedding_ = &p.get("model.embed_tokens.weight");
  head_ = config.tied ? embedding_ : &p.get("lm_head.weight");
  norm_ = {&p.get("model.norm.weight"), eps};
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string name = "model.layers." + std::to_string(i);
    const std::string attention = name + ".self_attn";
    layers_.push_back(
        {{&p.get(name + ".input_layernorm.weight"), eps},
         {&p.get(name + ".post_attention_layernorm.weight"), eps},
         linear(attention + ".q_proj"),
         linear(attention + ".k_proj"),
         linear(attention + ".v_proj"),
         linear(attention + ".o_proj"),
         {linear(name + ".mlp.gate_proj"), linear(name + ".mlp.up_proj"), linear(name + ".mlp.down_proj")}});
  }
}

Variable Decoder::embed(Graph& graph, const std::vector<int32_t>& tokens) const {
  return ops::embedding(graph, nn::leaf(graph, *embedding_), tokens);
}

Variable Decoder::layer(Graph& graph, int index, const Variable& x, const ops::RopeTable& rope,
                        AttentionContext& attention) const {
  const Span span("decoder layer", "layer", index);
  const Layer& l = layers_[index];
  const int64_t d = config_.head_size;
  const AttentionShape shape{config_.heads, config_.kv_heads, d, 1.0f / std::sqrt(static_cast<float>(d)), products_};
  const Variable h = l.input_norm(graph, x);
  const Variable q = ops::rope(graph, l.q(graph, h), rope, d);
  const Variable k = ops::rope(graph, l.k(graph, h), rope, d);
  const Variable v = l.v(graph, h);
  const Variable y = l.o(graph, attention.attend(graph, index, q, k, v, shape), &x);
  return l.mlp(graph, l.post_norm(graph, y), y);
}

Variable Decoder::layers(Graph& graph, Variable x, const ops::RopeTable& rope, AttentionContext& attention) const {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto run = [this, i, &rope, &attention](Graph& g, const Variable& in) {
      return layer(g, static_cast<int>(i), in, rope, attention);
    };
    if (!checkpointing_) {
      x = run(graph, x);
      continue;
    }
    // The backward pass comes after this function has returned: the block keeps the table, the caller the context.
    x = recompute(graph, x, [this, i, rope, &attention](Graph& g, const Variable& in) {
      return layer(g, static_cast<int>(i), in, rope, attention);
    });
  }
  return x;
}

}  // namespace vlmr1::qwen_vl
