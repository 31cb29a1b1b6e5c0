#include "models/qwen2_5_vl/config.h"

#include <algorithm>

#include "core/error.h"

namespace vlmr1::qwen2_5_vl {

namespace {

int64_t positive(const Json& json, const char* key) {
  const int64_t value = json.at(key).as_int();
  check(value > 0, ErrorCode::kConfig, "config.json: ", key, ": expected a value above 0, got ", value);
  return value;
}

void expect_silu(const Json& json, const char* where) {
  const std::string act = json.string_or("hidden_act", "silu");
  check(act == "silu", ErrorCode::kConfig, "config.json: ", where, ".hidden_act: expected silu, got ", act);
}

// theta and the M-RoPE sections stand at the top (flat), in rope_scaling, or in rope_parameters (nested).
void parse_rope(const Json& text, TextConfig& out) {
  const Json* parameters = text.find("rope_parameters");
  const Json* scaling = text.find("rope_scaling");
  const Json* rope = parameters && parameters->is_object() ? parameters : scaling;
  out.rope_theta = parameters && parameters->is_object() ? parameters->double_or("rope_theta", 0) : 0;
  if (out.rope_theta <= 0) out.rope_theta = text.double_or("rope_theta", 1e6);
  check(rope && rope->is_object() && rope->find("mrope_section"), ErrorCode::kConfig,
        "config.json: expected rope_scaling.mrope_section or rope_parameters.mrope_section");
  const std::string type = rope->string_or("rope_type", rope->string_or("type", "default"));
  check(type == "default" || type == "mrope", ErrorCode::kConfig,
        "config.json: rope type: expected default or mrope, got ", type);
  const auto& section = rope->at("mrope_section").as_array();
  check(section.size() == 3, ErrorCode::kConfig, "config.json: mrope_section: expected 3 numbers");
  int64_t total = 0;
  for (int i = 0; i < 3; ++i) total += out.mrope_section[i] = section[i].as_int();
  check(2 * total == out.head_size, ErrorCode::kConfig, "config.json: mrope_section: expected a sum of ",
        out.head_size / 2, " (half the head size), got ", total);
}

TextConfig parse_text(const Json& top) {
  const Json* nested = top.find("text_config");
  const Json& json = nested && nested->is_object() ? *nested : top;
  TextConfig t{};
  t.vocab_size = positive(json, "vocab_size");
  t.hidden_size = positive(json, "hidden_size");
  t.layers = positive(json, "num_hidden_layers");
  t.heads = positive(json, "num_attention_heads");
  t.kv_heads = json.int_or("num_key_value_heads", t.heads);
  check(t.kv_heads > 0 && t.heads % t.kv_heads == 0, ErrorCode::kConfig, "config.json: num_attention_heads ", t.heads,
        " is not a multiple of num_key_value_heads ", t.kv_heads);
  t.head_size = json.int_or("head_dim", t.hidden_size / t.heads);
  t.intermediate_size = positive(json, "intermediate_size");
  t.max_positions = json.int_or("max_position_embeddings", 32768);
  t.rms_eps = json.double_or("rms_norm_eps", 1e-6);
  t.tied = top.bool_or("tie_word_embeddings", json.bool_or("tie_word_embeddings", false));
  expect_silu(json, "text");
  check(!json.bool_or("use_sliding_window", false), ErrorCode::kConfig,
        "config.json: use_sliding_window: only false is supported");
  parse_rope(json, t);
  return t;
}

VisionConfig parse_vision(const Json& json, int64_t text_hidden) {
  VisionConfig v{};
  v.depth = positive(json, "depth");
  v.hidden_size = positive(json, "hidden_size");
  v.heads = positive(json, "num_heads");
  check(v.hidden_size % v.heads == 0 && v.head_size() % 4 == 0, ErrorCode::kConfig,
        "config.json: vision_config: expected a head size that is a multiple of 4, got ", v.hidden_size, " / ",
        v.heads);
  v.intermediate_size = positive(json, "intermediate_size");
  v.out_hidden_size = json.int_or("out_hidden_size", text_hidden);
  check(v.out_hidden_size == text_hidden, ErrorCode::kConfig, "config.json: vision_config.out_hidden_size: expected ",
        text_hidden, ", got ", v.out_hidden_size);
  v.in_channels = json.int_or("in_channels", json.int_or("in_chans", 3));
  v.patch_size = json.int_or("patch_size", json.int_or("spatial_patch_size", 14));
  v.temporal_patch_size = json.int_or("temporal_patch_size", 2);
  v.merge_size = json.int_or("spatial_merge_size", 2);
  v.window_size = json.int_or("window_size", 112);
  check(v.patch_size > 0 && v.merge_size > 0 && v.window_size >= v.patch_size * v.merge_size, ErrorCode::kConfig,
        "config.json: vision_config: window_size ", v.window_size, " is smaller than a merged patch");
  const Json* full = json.find("fullatt_block_indexes");
  if (full && !full->is_null()) {
    for (const Json& index : full->as_array()) v.full_attention_blocks.push_back(index.as_int());
  } else {
    v.full_attention_blocks = {7, 15, 23, 31};
  }
  expect_silu(json, "vision_config");
  return v;
}

class Specs {
 public:
  void add(const std::string& name, Shape shape) { list.push_back({name, shape, part, false}); }
  void linear(const std::string& name, int64_t out, int64_t in, bool bias) {
    list.push_back({name + ".weight", {out, in}, part, true});
    if (bias) add(name + ".bias", {out});
  }
  Part part = Part::kVision;
  std::vector<ParameterSpec> list;
};

void vision_specs(Specs& s, const VisionConfig& v) {
  s.add("visual.patch_embed.proj.weight",
        {v.hidden_size, v.in_channels, v.temporal_patch_size, v.patch_size, v.patch_size});
  for (int64_t i = 0; i < v.depth; ++i) {
    const std::string block = "visual.blocks." + std::to_string(i);
    s.add(block + ".norm1.weight", {v.hidden_size});
    s.add(block + ".norm2.weight", {v.hidden_size});
    s.linear(block + ".attn.qkv", 3 * v.hidden_size, v.hidden_size, true);
    s.linear(block + ".attn.proj", v.hidden_size, v.hidden_size, true);
    s.linear(block + ".mlp.gate_proj", v.intermediate_size, v.hidden_size, true);
    s.linear(block + ".mlp.up_proj", v.intermediate_size, v.hidden_size, true);
    s.linear(block + ".mlp.down_proj", v.hidden_size, v.intermediate_size, true);
  }
  s.part = Part::kMerger;
  const int64_t merged = v.hidden_size * v.merge_size * v.merge_size;
  s.add("visual.merger.ln_q.weight", {v.hidden_size});
  s.linear("visual.merger.mlp.0", merged, merged, true);
  s.linear("visual.merger.mlp.2", v.out_hidden_size, merged, true);
}

void text_specs(Specs& s, const TextConfig& t) {
  s.add("model.embed_tokens.weight", {t.vocab_size, t.hidden_size});
  for (int64_t i = 0; i < t.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i);
    s.add(layer + ".input_layernorm.weight", {t.hidden_size});
    s.linear(layer + ".self_attn.q_proj", t.heads * t.head_size, t.hidden_size, true);
    s.linear(layer + ".self_attn.k_proj", t.kv_heads * t.head_size, t.hidden_size, true);
    s.linear(layer + ".self_attn.v_proj", t.kv_heads * t.head_size, t.hidden_size, true);
    s.linear(layer + ".self_attn.o_proj", t.hidden_size, t.heads * t.head_size, false);
    s.add(layer + ".post_attention_layernorm.weight", {t.hidden_size});
    s.linear(layer + ".mlp.gate_proj", t.intermediate_size, t.hidden_size, false);
    s.linear(layer + ".mlp.up_proj", t.intermediate_size, t.hidden_size, false);
    s.linear(layer + ".mlp.down_proj", t.hidden_size, t.intermediate_size, false);
  }
  s.add("model.norm.weight", {t.hidden_size});
  if (!t.tied) s.add("lm_head.weight", {t.vocab_size, t.hidden_size});
}

}  // namespace

bool VisionConfig::is_full(int64_t block) const {
  return std::find(full_attention_blocks.begin(), full_attention_blocks.end(), block) != full_attention_blocks.end();
}

Config parse_config(const Json& json) {
  Config c{};
  c.model_type = json.at("model_type").as_string();
  check(c.model_type == "qwen2_5_vl", ErrorCode::kConfig, "config.json: model_type: expected qwen2_5_vl, got ",
        c.model_type);
  c.text = parse_text(json);
  c.vision = parse_vision(json.at("vision_config"), c.text.hidden_size);
  c.image_token_id = static_cast<int32_t>(json.int_or("image_token_id", 151655));
  c.video_token_id = static_cast<int32_t>(json.int_or("video_token_id", 151656));
  c.vision_start_token_id = static_cast<int32_t>(json.int_or("vision_start_token_id", 151652));
  for (int32_t id : {c.image_token_id, c.video_token_id})
    check(id >= 0 && id < c.text.vocab_size, ErrorCode::kConfig, "config.json: picture token ", id,
          " is outside the vocabulary of ", c.text.vocab_size);
  c.initializer_range = json.double_or("initializer_range", 0.02);
  return c;
}

std::vector<ParameterSpec> parameter_specs(const Config& config) {
  Specs specs;
  vision_specs(specs, config.vision);
  specs.part = Part::kLanguage;
  text_specs(specs, config.text);
  return specs.list;
}

ModelInfo model_info(const Config& config) {
  ModelInfo info;
  info.model_type = config.model_type;
  for (const ParameterSpec& spec : parameter_specs(config)) info.parameters += spec.shape.numel();
  info.vocab_size = config.text.vocab_size;
  info.hidden_size = config.text.hidden_size;
  info.image_token_id = config.image_token_id;
  info.video_token_id = config.video_token_id;
  info.patch_size = static_cast<int32_t>(config.vision.patch_size);
  info.temporal_patch_size = static_cast<int32_t>(config.vision.temporal_patch_size);
  info.merge_size = static_cast<int32_t>(config.vision.merge_size);
  info.max_position_embeddings = config.text.max_positions;
  info.banned_tokens = {config.image_token_id, config.video_token_id};
  return info;
}

}  // namespace vlmr1::qwen2_5_vl
