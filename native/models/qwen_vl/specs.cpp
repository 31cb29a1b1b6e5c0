#include "models/qwen_vl/specs.h"

namespace vlmr1::qwen_vl {

void SpecList::layer_norm(const std::string& name, int64_t size) {
  add(name + ".weight", {size});
  add(name + ".bias", {size});
}

void SpecList::linear(const std::string& name, int64_t out, int64_t in, bool bias) {
  list_.push_back({name + ".weight", {out, in}, part_, true});
  if (bias) add(name + ".bias", {out});
}

void SpecList::swiglu_mlp(const std::string& name, int64_t size, int64_t inner, bool bias) {
  linear(name + ".gate_proj", inner, size, bias);
  linear(name + ".up_proj", inner, size, bias);
  linear(name + ".down_proj", size, inner, bias);
}

void add_patch_embedding(SpecList& list, const PatchConfig& p, int64_t size) {
  list.add("visual.patch_embed.proj.weight", {size, p.in_channels, p.temporal_patch_size, p.patch_size, p.patch_size});
}

void add_merger_mlp(SpecList& list, const PatchConfig& patches, int64_t size, int64_t out) {
  const int64_t merged = size * patches.merged();
  list.linear("visual.merger.mlp.0", merged, merged, true);
  list.linear("visual.merger.mlp.2", out, merged, true);
}

void add_decoder(SpecList& list, const TextConfig& t) {
  list.begin(Part::kLanguage);
  list.add("model.embed_tokens.weight", {t.vocab_size, t.hidden_size});
  for (int64_t i = 0; i < t.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i);
    list.add(layer + ".input_layernorm.weight", {t.hidden_size});
    list.linear(layer + ".self_attn.q_proj", t.heads * t.head_size, t.hidden_size, true);
    list.linear(layer + ".self_attn.k_proj", t.kv_heads * t.head_size, t.hidden_size, true);
    list.linear(layer + ".self_attn.v_proj", t.kv_heads * t.head_size, t.hidden_size, true);
    list.linear(layer + ".self_attn.o_proj", t.hidden_size, t.heads * t.head_size, false);
    list.add(layer + ".post_attention_layernorm.weight", {t.hidden_size});
    list.swiglu_mlp(layer + ".mlp", t.hidden_size, t.intermediate_size, false);
  }
  list.add("model.norm.weight", {t.hidden_size});
  // Not a linear layer here: its products are part of the log-probabilities, which take no adapter.
  if (!t.tied) list.add("lm_head.weight", {t.vocab_size, t.hidden_size});
}

}  // namespace vlmr1::qwen_vl
