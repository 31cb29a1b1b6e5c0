import { describe, expect, test } from "vitest";
import { presetNames, presets } from "../../../lib/config/index.js";
import { PUBLISHED } from "../../support/presets.js";

interface Vision {
  depth: number;
  num_heads: number;
  hidden_size: number;
  patch_size: number;
  temporal_patch_size: number;
  spatial_merge_size: number;
  /** Qwen2.5-VL. */
  intermediate_size: number;
  out_hidden_size: number;
  fullatt_block_indexes: number[];
  window_size: number;
  /** Qwen2-VL. */
  embed_dim: number;
  mlp_ratio: number;
}

interface Config {
  model_type: "qwen2_vl" | "qwen2_5_vl";
  architectures: string[];
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  max_position_embeddings: number;
  tie_word_embeddings: boolean;
  rope_theta: number;
  rope_scaling: { mrope_section: number[] };
  vision_config: Vision;
}

const configOf = (name: string) => presets[name]?.config as unknown as Config;

describe.each(PUBLISHED)("the preset %s", (name, shape, tied, positions, visionParameters, parameters) => {
  const config = configOf(name);

  test("has the published shapes", () => {
    expect([
      config.hidden_size,
      config.num_hidden_layers,
      config.num_attention_heads,
      config.num_key_value_heads,
      config.intermediate_size,
      config.vocab_size,
    ]).toEqual(shape);
    expect([config.tie_word_embeddings, config.max_position_embeddings]).toEqual([tied, positions]);
    expect([config.rope_theta, config.rope_scaling.mrope_section]).toEqual([1e6, [16, 24, 24]]);
    expect(config.vision_config).toMatchObject({
      ...{ depth: 32, num_heads: 16, patch_size: 14, temporal_patch_size: 2, spatial_merge_size: 2 },
      ...(name.startsWith("qwen2-")
        ? { embed_dim: 1280, mlp_ratio: 4, hidden_size: config.hidden_size }
        : {
            ...{ hidden_size: 1280, out_hidden_size: config.hidden_size, window_size: 112 },
            fullatt_block_indexes: [7, 15, 23, 31],
          }),
    });
  });

  test("has as many parameters as transformers counts", () => {
    expect(countVision(config)).toBe(visionParameters);
    expect(countVision(config) + countText(config)).toBe(parameters);
  });
});

test("every preset names a family, and heads that its M-RoPE sections fill", () => {
  for (const name of presetNames) {
    const config = configOf(name);
    const known = { qwen2_vl: "Qwen2VLForConditionalGeneration", qwen2_5_vl: "Qwen2_5_VLForConditionalGeneration" };
    expect(config.architectures, name).toEqual([known[config.model_type]]);
    const headSize = config.hidden_size / config.num_attention_heads;
    expect(sum(config.rope_scaling.mrope_section), name).toBe(headSize / 2);
    expect(config.num_attention_heads % config.num_key_value_heads, name).toBe(0);
  }
});

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const linear = (inputs: number, outputs: number) => (inputs + 1) * outputs;

function countText(config: Config): number {
  const { hidden_size: e, intermediate_size: f, num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const kv = (e / heads) * kvHeads;
  const attention = linear(e, e) + 2 * linear(e, kv) + e * e;
  const layer = attention + 3 * e * f + 2 * e;
  const embeddings = (config.tie_word_embeddings ? 1 : 2) * config.vocab_size * e;
  return config.num_hidden_layers * layer + e + embeddings;
}

function countVision({ model_type: family, vision_config: vision, hidden_size: out }: Config): number {
  const { depth, patch_size: patch, temporal_patch_size: frames, spatial_merge_size: merge } = vision;
  const second = family === "qwen2_vl";
  const e = second ? vision.embed_dim : vision.hidden_size;
  const f = second ? e * vision.mlp_ratio : vision.intermediate_size;
  const attention = linear(e, 3 * e) + linear(e, e);
  // LayerNorm has a bias, RMSNorm has none; Qwen2.5-VL's feed-forward is gated.
  const norm = second ? 2 * e : e;
  const feedForward = second ? linear(e, f) + linear(f, e) : 2 * linear(e, f) + linear(f, e);
  const merged = e * merge ** 2;
  const merger = norm + linear(merged, merged) + linear(merged, out);
  return 3 * frames * patch ** 2 * e + depth * (attention + feedForward + 2 * norm) + merger;
}
