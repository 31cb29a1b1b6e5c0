import type { ModelPart, ParameterDescription } from "../../lib/engine/native-types.js";

/** The parameters of a Qwen2.5-VL with two layers and two vision blocks, as an engine describes them. */
export function tinyParameters(): ParameterDescription[] {
  const embedding = plain("model.embed_tokens.weight", [320, 48], "language");
  return [...visionParameters(), embedding, ...languageParameters(), plain("model.norm.weight", [48], "language")];
}

function visionParameters(): ParameterDescription[] {
  const blocks = [0, 1].flatMap((index) => {
    const block = `visual.blocks.${index}`;
    return [
      plain(`${block}.norm1.weight`, [24], "vision"),
      ...linear(`${block}.attn.qkv`, 72, 24, "vision", true),
      ...linear(`${block}.attn.proj`, 24, 24, "vision", true),
      plain(`${block}.norm2.weight`, [24], "vision"),
      ...linear(`${block}.mlp.gate_proj`, 30, 24, "vision", true),
      ...linear(`${block}.mlp.up_proj`, 30, 24, "vision", true),
      ...linear(`${block}.mlp.down_proj`, 24, 30, "vision", true),
    ];
  });
  return [
    plain("visual.patch_embed.proj.weight", [24, 3, 2, 14, 14], "vision"),
    ...blocks,
    plain("visual.merger.ln_q.weight", [24], "merger"),
    ...linear("visual.merger.mlp.0", 96, 96, "merger", true),
    ...linear("visual.merger.mlp.2", 48, 96, "merger", true),
  ];
}

function languageParameters(): ParameterDescription[] {
  return [0, 1].flatMap((index) => {
    const layer = `model.layers.${index}`;
    return [
      plain(`${layer}.input_layernorm.weight`, [48], "language"),
      ...linear(`${layer}.self_attn.q_proj`, 48, 48, "language", true),
      ...linear(`${layer}.self_attn.k_proj`, 24, 48, "language", true),
      ...linear(`${layer}.self_attn.v_proj`, 24, 48, "language", true),
      ...linear(`${layer}.self_attn.o_proj`, 48, 48, "language", false),
      plain(`${layer}.post_attention_layernorm.weight`, [48], "language"),
      ...linear(`${layer}.mlp.gate_proj`, 68, 48, "language", false),
      ...linear(`${layer}.mlp.up_proj`, 68, 48, "language", false),
      ...linear(`${layer}.mlp.down_proj`, 48, 68, "language", false),
    ];
  });
}

function linear(module: string, out: number, width: number, part: ModelPart, bias: boolean): ParameterDescription[] {
  const weight = { ...plain(`${module}.weight`, [out, width], part), linear: true };
  return bias ? [weight, plain(`${module}.bias`, [out], part)] : [weight];
}

function plain(name: string, shape: number[], part: ModelPart): ParameterDescription {
  const runtimeName = name.replace(/^visual\./, "model.visual.").replace(/^model\.(?!visual)/, "model.language_model.");
  return { name, runtimeName, shape, part, linear: false };
}
