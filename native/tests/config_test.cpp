// Configurations of the published checkpoints in all their layouts, and what is wrong with broken ones.
#include "models/qwen2_5_vl/config.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "models/model.h"
#include "models/qwen2_vl/config.h"
#include "models/qwen_vl/config.h"
#include "tests/golden.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

struct Published {
  const char* name;
  const char* model_type;
  int64_t hidden, layers, heads, kv_heads, intermediate, vocab;
  bool tied;
  int64_t vision_intermediate;
  int64_t total;
};

constexpr Published kPublished[] = {
    {"Qwen2-VL-2B", "qwen2_vl", 1536, 28, 12, 2, 8960, 151936, true, 5120, 2'208'985'600},
    {"Qwen2-VL-7B", "qwen2_vl", 3584, 28, 28, 4, 18944, 152064, false, 5120, 8'291'375'616},
    {"Qwen2-VL-72B", "qwen2_vl", 8192, 80, 64, 8, 29568, 152064, false, 5120, 73'405'560'320},
    {"Qwen2.5-VL-3B", "qwen2_5_vl", 2048, 36, 16, 2, 11008, 151936, true, 3420, 3'754'622'976},
    {"Qwen2.5-VL-7B", "qwen2_5_vl", 3584, 28, 28, 4, 18944, 152064, false, 3420, 8'292'166'656},
    {"Qwen2.5-VL-32B", "qwen2_5_vl", 5120, 64, 40, 8, 27648, 152064, false, 3456, 33'452'718'336},
    {"Qwen2.5-VL-72B", "qwen2_5_vl", 8192, 80, 64, 8, 29568, 152064, false, 3456, 73'410'777'344},
};

// Each size in each layout: "flat" as published, "sparse" as transformers 4 saved it again, "nested" as 5 writes it.
void for_each_layout(const std::function<void(const Published&, const Json& golden, const Json& config)>& body) {
  const Json all = golden_json("architectures.json");
  const auto& rows = all.at("architectures").as_array();
  REQUIRE(rows.size() == std::size(kPublished));
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].at("name").as_string(), kPublished[i].name);
    for (const char* layout : {"flat", "sparse", "nested"})
      body(kPublished[i], rows[i], rows[i].at("layouts").at(layout));
  }
}

TEST(config_text_of_published_checkpoints) {
  for_each_layout([](const Published& p, const Json&, const Json& json) {
    const qwen_vl::Config config = qwen_vl::parse_config(json);
    EXPECT_EQ(config.model_type, p.model_type);
    EXPECT_EQ(config.text.hidden_size, p.hidden);
    EXPECT_EQ(config.text.layers, p.layers);
    EXPECT_EQ(config.text.heads, p.heads);
    EXPECT_EQ(config.text.kv_heads, p.kv_heads);
    EXPECT_EQ(config.text.head_size, 128);
    EXPECT_EQ(config.text.intermediate_size, p.intermediate);
    EXPECT_EQ(config.text.vocab_size, p.vocab);
    EXPECT_EQ(config.text.tied, p.tied);
    EXPECT_EQ(config.text.max_positions, config.model_type == "qwen2_vl" ? 32768 : 128000);
    EXPECT_EQ(config.text.rms_eps, 1e-6);
    EXPECT_EQ(config.text.rope_theta, 1e6);
    EXPECT_TRUE((config.text.mrope_section == std::array<int64_t, 3>{16, 24, 24}));
    EXPECT_EQ(config.image_token_id, 151655);
    EXPECT_EQ(config.video_token_id, 151656);
    EXPECT_EQ(config.patches.elements(), 3 * 2 * 14 * 14);
    EXPECT_EQ(config.patches.merge_size, 2);
    EXPECT_EQ(config.patches.rope_theta, 1e4);
  });
}

TEST(config_towers_of_published_checkpoints) {
  for_each_layout([](const Published& p, const Json&, const Json& json) {
    const qwen_vl::Config config = qwen_vl::parse_config(json);
    if (config.model_type == "qwen2_vl") {
      const auto vision = qwen2_vl::parse_vision(json.at("vision_config"), config);
      EXPECT_EQ(vision.depth, 32);
      EXPECT_EQ(vision.embed_dim, 1280);
      EXPECT_EQ(vision.heads, 16);
      EXPECT_EQ(vision.head_size(), 80);
      EXPECT_EQ(vision.intermediate_size, p.vision_intermediate);
      EXPECT_EQ(vision.out_hidden_size, p.hidden);
      EXPECT_TRUE(vision.activation == GeluKind::kQuick);
      return;
    }
    const auto vision = qwen2_5_vl::parse_vision(json.at("vision_config"), config);
    EXPECT_EQ(vision.depth, 32);
    EXPECT_EQ(vision.hidden_size, 1280);
    EXPECT_EQ(vision.heads, 16);
    EXPECT_EQ(vision.head_size(), 80);
    EXPECT_EQ(vision.intermediate_size, p.vision_intermediate);
    EXPECT_EQ(vision.out_hidden_size, p.hidden);
    EXPECT_EQ(vision.window_size, 112);
    for (int64_t block = 0; block < 32; ++block) EXPECT_EQ(vision.is_full(block), block % 8 == 7);
  });
}

// "model.layers.17.mlp" → "model.layers.*.mlp", and 17; −1 where there is no layer.
std::pair<std::string, int64_t> pattern_of(const std::string& name) {
  for (const std::string stem : {"model.layers.", "visual.blocks."}) {
    if (!name.starts_with(stem)) continue;
    const size_t end = name.find('.', stem.size());
    return {stem + "*" + name.substr(end), std::stoll(name.substr(stem.size(), end - stem.size()))};
  }
  return {name, -1};
}

TEST(config_parameters_of_published_checkpoints_are_those_of_transformers) {
  for_each_layout([](const Published& p, const Json& golden, const Json& json) {
    const ModelDescription description = describe_model(json);
    EXPECT_EQ(description.info.parameters, p.total);
    EXPECT_EQ(golden.at("total").as_int(), p.total);
    std::map<std::string, int64_t> layers;
    for (const ParameterSpec& spec : description.parameters) {
      const auto [pattern, layer] = pattern_of(spec.name);
      const Json* expected = golden.at("parameters").find(pattern);
      if (!expected) {
        VLMR1_REPORT(std::string(p.name) + ": transformers has no " + spec.name);
        continue;
      }
      // Layers come in order, each once.
      EXPECT_EQ(layers[pattern]++, std::max<int64_t>(layer, 0));
      std::vector<int32_t> row{int_list(*expected)[0]};
      for (int axis = 0; axis < spec.shape.rank(); ++axis) row.push_back(static_cast<int32_t>(spec.shape[axis]));
      if (row != int_list(*expected)) VLMR1_REPORT(std::string(p.name) + ": " + spec.name + " is " + spec.shape.str());
    }
    for (const auto& [pattern, expected] : golden.at("parameters").as_object())
      if (layers[pattern] != int_list(expected)[0]) VLMR1_REPORT(std::string(p.name) + ": not all of " + pattern);
  });
}

TEST(config_parts_and_linear_layers) {
  for_each_layout([](const Published& p, const Json&, const Json& json) {
    for (const ParameterSpec& spec : describe_model(json).parameters) {
      const std::string& name = spec.name;
      const Part part = name.starts_with("visual.merger.") ? Part::kMerger
                        : name.starts_with("visual.")      ? Part::kVision
                                                           : Part::kLanguage;
      const bool product = name.ends_with("_proj.weight") || name.ends_with("attn.qkv.weight") ||
                           name.ends_with("attn.proj.weight") || name.ends_with("mlp.fc1.weight") ||
                           name.ends_with("mlp.fc2.weight") || name.ends_with("mlp.0.weight") ||
                           name.ends_with("mlp.2.weight");
      if (spec.part != part || spec.linear != product) VLMR1_REPORT(std::string(p.name) + ": " + name);
    }
  });
}

// A flat configuration of each family, small.
const char* const kQwen2Vl = R"({
  "model_type": "qwen2_vl", "vocab_size": 300, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": false, "hidden_act": "silu",
  "use_sliding_window": false, "max_window_layers": 1, "sliding_window": 4096, "rope_theta": 1000000.0,
  "rope_scaling": {"type": "mrope", "mrope_section": [1, 2, 1]}, "image_token_id": 294, "video_token_id": 295,
  "vision_config": {"depth": 3, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 4}
})";
const char* const kQwen25Vl = R"({
  "model_type": "qwen2_5_vl", "vocab_size": 300, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": false,
  "rope_scaling": {"type": "mrope", "mrope_section": [1, 2, 1]}, "image_token_id": 294, "video_token_id": 295,
  "vision_config": {"depth": 3, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 24}
})";

Json changed(const std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return Json::parse(std::string(text).replace(at, from.size(), to), "config.json");
}

bool has_head(const Json& config) {
  const auto specs = describe_model(config).parameters;
  return std::any_of(specs.begin(), specs.end(), [](const auto& s) { return s.name == "lm_head.weight"; });
}

TEST(config_variants_that_say_the_same) {
  EXPECT_TRUE(has_head(Json::parse(kQwen2Vl, "config.json")));
  const char* tied = "\"tie_word_embeddings\": false";
  EXPECT_FALSE(has_head(changed(kQwen2Vl, tied, "\"tie_word_embeddings\": true")));
  EXPECT_TRUE(has_head(changed(kQwen2Vl, tied, "\"tie_word_embeddings\": null")));
  const auto text = [](const char* from, const char* to) {
    return qwen_vl::parse_config(changed(kQwen2Vl, from, to)).text;
  };
  EXPECT_EQ(text("\"num_key_value_heads\": 2", "\"num_key_value_heads\": null").kv_heads, 4);
  EXPECT_EQ(text("\"rope_theta\": 1000000.0,", "").rope_theta, 1e6);
  EXPECT_EQ(text("\"type\": \"mrope\"", "\"rope_type\": \"default\", \"rope_theta\": 500").rope_theta, 500);
  EXPECT_EQ(text("\"use_sliding_window\": false", "\"head_dim\": 8").head_size, 8);
  EXPECT_EQ(text("false, \"max_window_layers\": 1, \"sliding_window\": 4096", "true, \"sliding_window\": null").layers,
            2);
  EXPECT_EQ(text("false, \"max_window_layers\": 1", "true, \"max_window_layers\": 2").layers, 2);
  EXPECT_EQ(text("\"use_sliding_window\": false",
                 "\"use_sliding_window\": true, \"layer_types\": [\"full_attention\", \"full_attention\"]")
                .layers,
            2);
  const auto vision = [](const char* from, const char* to) {
    const Json json = changed(kQwen2Vl, from, to);
    return qwen2_vl::parse_vision(json.at("vision_config"), qwen_vl::parse_config(json));
  };
  EXPECT_EQ(vision("\"depth\": 3", "\"in_chans\": 1").patches.in_channels, 1);
  EXPECT_EQ(vision("\"depth\": 3", "\"in_channels\": 4, \"in_chans\": 1").patches.in_channels, 4);
  EXPECT_EQ(vision("\"depth\": 3", "\"spatial_patch_size\": 16").patches.patch_size, 16);
  EXPECT_EQ(vision("\"depth\": 3", "\"rope_parameters\": {\"rope_theta\": 500}").patches.rope_theta, 500);
  EXPECT_EQ(vision("\"depth\": 3, ", "").depth, 32);
  EXPECT_EQ(vision("\"mlp_ratio\": 4", "\"mlp_ratio\": 2.5").intermediate_size, 40);
  const auto activation = [&](const std::string& name) {
    return vision("\"depth\": 3", ("\"hidden_act\": \"" + name + "\"").c_str()).activation;
  };
  EXPECT_TRUE(activation("gelu") == GeluKind::kExact);
  EXPECT_TRUE(activation("quick_gelu") == GeluKind::kQuick);
  for (const char* name : {"gelu_pytorch_tanh", "gelu_new", "gelu_fast"})
    EXPECT_TRUE(activation(name) == GeluKind::kTanh);
}

struct Broken {
  const char* from;
  const char* to;
  const char* named;  // in the message
};

void expect_refused(const char* text, const std::vector<Broken>& all) {
  for (const Broken& b : all) {
    const Json json = changed(text, b.from, b.to);
    EXPECT_ERROR_WITH(ErrorCode::kConfig, b.named, describe_model(json));
  }
}

TEST(config_errors_name_the_field) {
  expect_refused(kQwen2Vl, {
                               {"qwen2_vl", "qwen3_vl", "qwen2_vl or qwen2_5_vl, got qwen3_vl"},
                               {"\"vocab_size\": 300,", "", "vocab_size"},
                               {"\"hidden_size\": 32", "\"hidden_size\": 33", "hidden_size 33"},
                               {"\"hidden_size\": 32", "\"hidden_size\": 4611686018427387904", "hidden_size"},
                               {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", "num_hidden_layers"},
                               {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000", "num_hidden_layers"},
                               {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads 3"},
                               {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": -2", "num_key_value_heads"},
                               {"\"tie_word_embeddings\": false", "\"head_dim\": 16", "head_dim"},
                               {"\"tie_word_embeddings\": false", "\"rms_norm_eps\": -1", "rms_norm_eps"},
                               {"silu", "relu", "hidden_act"},
                               {"\"use_sliding_window\": false", "\"use_sliding_window\": true", "use_sliding_window"},
                               {"false, \"max_window_layers\": 1",
                                "true, \"layer_types\": [\"full_attention\", \"sliding_attention\"]", "sliding"},
                               {"\"rope_theta\": 1000000.0", "\"rope_theta\": -1", "rope_theta"},
                               {"\"mrope\"", "\"yarn\"", "rope type"},
                               {"[1, 2, 1]", "[1, 3]", "mrope_section"},
                               {"[1, 2, 1]", "[1, 2, 2]", "mrope_section"},
                               {"[1, 2, 1]", "[5, -2, 1]", "mrope_section"},
                               {"\"image_token_id\": 294", "\"image_token_id\": 300", "image_token_id"},
                               {"\"video_token_id\": 295", "\"video_token_id\": 4294967297", "video_token_id"},
                               {"\"vision_config\"", "\"vision\"", "vision_config"},
                               {"\"embed_dim\": 16", "\"embed_dim\": 18", "18 / 2"},
                               {"\"hidden_size\": 32, \"num_heads\"", "\"hidden_size\": 31, \"num_heads\"", "got 31"},
                               {"\"mlp_ratio\": 4", "\"mlp_ratio\": 0", "mlp_ratio"},
                               {"\"mlp_ratio\": 4", "\"hidden_act\": \"silu\"", "vision_config.hidden_act"},
                               {"\"mlp_ratio\": 4", "\"spatial_merge_size\": 1000", "spatial_merge_size"},
                           });
  expect_refused(kQwen25Vl, {
                                {"\"out_hidden_size\": 32, ", "", "vision_config.out_hidden_size"},
                                {"\"depth\": 3", "\"window_size\": 27", "window_size"},
                                {"\"depth\": 3", "\"hidden_act\": \"gelu\"", "vision_config.hidden_act"},
                                {"\"depth\": 3", "\"fullatt_block_indexes\": [\"a\"]", "fullatt_block_indexes"},
                                {"\"num_heads\": 2", "\"num_heads\": 3", "16 / 3"},
                            });
}

}  // namespace
}  // namespace vlmr1
