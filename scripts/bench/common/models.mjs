import { Engine, prepareModelFolder, presets } from "../../../dist/index.js";
import { root } from "../../build/run.mjs";

/** Sizes over bench-10m's; everything else, the tokenizer too, stays. */
const BENCH_80M = {
  text: { hidden_size: 640, intermediate_size: 1920, num_hidden_layers: 13, num_attention_heads: 10 },
  mropeSection: [8, 12, 12],
  vision: { hidden_size: 320, intermediate_size: 960, depth: 12, fullatt_block_indexes: [2, 5, 8, 11] },
};

export const benchPresets = [...Object.keys(presets), "bench-80m"];

/** The fields of a config.json by a preset's name. */
export function benchConfig(name) {
  if (name !== "bench-80m") return presets[name].config;
  const base = structuredClone(presets["bench-10m"].config);
  const { text, vision, mropeSection } = BENCH_80M;
  return {
    ...base,
    ...text,
    max_window_layers: text.num_hidden_layers,
    rope_scaling: { ...base.rope_scaling, mrope_section: mropeSection },
    vision_config: { ...base.vision_config, ...vision, out_hidden_size: text.hidden_size },
  };
}

/** Writes a model folder with random weights and the food example's tokenizer. */
export async function makeModel(preset, folder) {
  const config = await prepareModelFolder({
    config: benchConfig(preset),
    tokenizer: `${root}examples/food/tokenizer`,
    out: folder,
  });
  const engine = await Engine.open({ device: "cpu" });
  try {
    const { parameters } = await engine.initModel({ config, directory: folder, seed: 1, dtype: "f32" });
    return { config: JSON.parse(config), parameters };
  } finally {
    engine.dispose();
  }
}
