#include "models/qwen_vl/config.h"

#include "core/error.h"
#include "models/qwen_vl/fields.h"

namespace vlmr1::qwen_vl {

namespace {

// The M-RoPE sections stand in rope_scaling (transformers 4) or rope_parameters (5), theta there or beside it.
void parse_rope(const Json& text, TextConfig& out) {
  const Json* rope = text.find("rope_scaling");
  if (!rope || !rope->is_object()) rope = text.find("rope_parameters");
  const double beside = text.double_or("rope_theta", 1e6);
  out.rope_theta = rope && rope->is_object() ? rope->double_or("rope_theta", beside) : beside;
  check(out.rope_theta > 0, ErrorCode::kConfig, "config.json: rope_theta: expected a value above 0, got ",
        out.rope_theta);
  out.mrope_section = {16, 24, 24};
  if (rope && rope->is_object()) {
    const std::string type = rope->string_or("rope_type", rope->string_or("type", "default"));
    check(type == "default" || type == "mrope", ErrorCode::kConfig,
          "config.json: rope type: expected default or mrope, got ", type);
    if (const Json* found = rope->find("mrope_section")) {
      const auto& section = found->as_array();
      check(section.size() == 3, ErrorCode::kConfig, "config.json: mrope_section: expected 3 numbers, got ",
            section.size());
      for (int i = 0; i < 3; ++i) out.mrope_section[i] = section[i].as_int();
    }
  }
  int64_t total = 0;
  for (const int64_t size : out.mrope_section) {
    check(size >= 0 && size <= out.head_size, ErrorCode::kConfig,
          "config.json: mrope_section: expected sizes of 0 to half the head size, got ", size);
    total += size;
  }
  check(2 * total == out.head_size, ErrorCode::kConfig, "config.json: mrope_section: expected a sum of ",
        out.head_size / 2, " (half the head size), got ", total);
}

// As transformers decides it: a window that is set, used, and meant for some layer.
bool slides(const Json& text, int64_t layers) {
  const Json* window = text.find("sliding_window");
  if (!text.bool_or("use_sliding_window", false) || (window && window->is_null())) return false;
  const Json* types = text.find("layer_types");
  if (!types || types->is_null()) return text.int_or("max_window_layers", 80) < layers;
  for (const Json& type : types->as_array())
    if (type.as_string() == "sliding_attention") return true;
  return false;
}

void parse_heads(const Json& json, TextConfig& t) {
  t.heads = positive(json, "", "num_attention_heads", kMostWidth);
  t.kv_heads = positive_or(json, "", "num_key_value_heads", kMostWidth, t.heads);
  check(t.heads % t.kv_heads == 0, ErrorCode::kConfig, "config.json: num_attention_heads ", t.heads,
        " is not a multiple of num_key_value_heads ", t.kv_heads);
  check(t.hidden_size % t.heads == 0, ErrorCode::kConfig, "config.json: hidden_size ", t.hidden_size,
        " is not a multiple of num_attention_heads ", t.heads);
  t.head_size = t.hidden_size / t.heads;
  const int64_t head_dim = positive_or(json, "", "head_dim", kMostWidth, t.head_size);
  check(head_dim == t.head_size, ErrorCode::kConfig,
        "config.json: head_dim: expected hidden_size / num_attention_heads = ", t.head_size, ", got ", head_dim);
}

TextConfig parse_text(const Json& top) {
  const Json* nested = top.find("text_config");
  const Json& json = nested && nested->is_object() ? *nested : top;
  TextConfig t{};
  t.vocab_size = positive(json, "", "vocab_size", kMostTokens);
  t.hidden_size = positive(json, "", "hidden_size", kMostWidth);
  t.layers = positive(json, "", "num_hidden_layers", kMostLayers);
  parse_heads(json, t);
  t.intermediate_size = positive(json, "", "intermediate_size", kMostWidth);
  t.max_positions = positive_or(json, "", "max_position_embeddings", kMostTokens, 32768);
  t.rms_eps = json.double_or("rms_norm_eps", 1e-5);
  check(t.rms_eps >= 0, ErrorCode::kConfig, "config.json: rms_norm_eps: expected 0 or more, got ", t.rms_eps);
  t.tied = top.bool_or("tie_word_embeddings", false) || json.bool_or("tie_word_embeddings", false);
  const std::string act = json.string_or("hidden_act", "silu");
  check(act == "silu", ErrorCode::kConfig, "config.json: hidden_act: expected silu, got ", act);
  check(!slides(json, t.layers), ErrorCode::kConfig,
        "config.json: use_sliding_window: expected false, or no layer of type sliding_attention");
  parse_rope(json, t);
  return t;
}

PatchConfig parse_patches(const Json& vision) {
  const std::string where = "vision_config.";
  PatchConfig p{};
  p.in_channels =
      positive_or(vision, where, "in_channels", kMostPixels, positive_or(vision, where, "in_chans", kMostPixels, 3));
  p.patch_size = positive_or(vision, where, "patch_size", kMostPixels,
                             positive_or(vision, where, "spatial_patch_size", kMostPixels, 14));
  p.temporal_patch_size = positive_or(vision, where, "temporal_patch_size", kMostPixels, 2);
  p.merge_size = positive_or(vision, where, "spatial_merge_size", kMostMerged, 2);
  p.rope_theta = 10000.0;
  const Json* rope = vision.find("rope_parameters");
  if (rope && rope->is_object()) p.rope_theta = rope->double_or("rope_theta", p.rope_theta);
  return p;
}

int32_t token_id(const Json& json, const char* key, int64_t fallback, int64_t vocab_size) {
  const int64_t id = json.int_or(key, fallback);
  check(id >= 0 && id < vocab_size, ErrorCode::kConfig, "config.json: ", key, ": expected an id in the vocabulary of ",
        vocab_size, ", got ", id);
  return static_cast<int32_t>(id);
}

}  // namespace

Config parse_config(const Json& json) {
  Config c{};
  c.model_type = json.at("model_type").as_string();
  c.text = parse_text(json);
  c.patches = parse_patches(json.at("vision_config"));
  c.image_token_id = token_id(json, "image_token_id", 151655, c.text.vocab_size);
  c.video_token_id = token_id(json, "video_token_id", 151656, c.text.vocab_size);
  return c;
}

void check_tower_heads(int64_t size, int64_t heads) {
  check(size % heads == 0 && size / heads % 4 == 0, ErrorCode::kConfig,
        "config.json: vision_config: expected a head size that is a multiple of 4, got ", size, " / ", heads);
}

int64_t parse_tower_output(const Json& vision, const char* key, const TextConfig& text) {
  constexpr int64_t kDefault = 3584;  // of transformers' classes
  const int64_t size = positive_or(vision, "vision_config.", key, kMostWidth, kDefault);
  check(size == text.hidden_size, ErrorCode::kConfig, "config.json: vision_config.", key,
        ": expected the text's hidden_size ", text.hidden_size, ", got ", size);
  return size;
}

ModelInfo model_info(const Config& config) {
  ModelInfo info;
  info.model_type = config.model_type;
  info.vocab_size = config.text.vocab_size;
  info.hidden_size = config.text.hidden_size;
  info.image_token_id = config.image_token_id;
  info.video_token_id = config.video_token_id;
  info.patch_size = static_cast<int32_t>(config.patches.patch_size);
  info.temporal_patch_size = static_cast<int32_t>(config.patches.temporal_patch_size);
  info.merge_size = static_cast<int32_t>(config.patches.merge_size);
  info.max_position_embeddings = config.text.max_positions;
  info.banned_tokens = {config.image_token_id, config.video_token_id};
  return info;
}

}  // namespace vlmr1::qwen_vl
