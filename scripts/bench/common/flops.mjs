/** Floating-point operations of the phases of a step, with each prompt computed once; norms and the like left out. */
export function flopsOf(config, { prompts, generations, completion, picture, promptTokens }) {
  const token = 2 * layerWeights(config);
  const scores = 4 * config.num_hidden_layers * config.hidden_size;
  const head = 2 * headWeights(config);
  const rows = prompts * generations;

  const prompt = prompts * promptTokens * (token + (scores * promptTokens) / 2);
  const context = promptTokens + completion / 2;
  const vision = prompts * visionFlops(config.vision_config, (picture / config.vision_config.patch_size) ** 2);
  const forward = vision + prompt + rows * completion * (token + scores * context + head);
  return {
    vision,
    prefill: prompt + prompts * head,
    decode: rows * (completion - 1) * (token + scores * context + head),
    forward,
    logProbs: forward,
    backward: 2 * forward,
    train: 3 * forward,
  };
}

/** Weights that every decoded token's products read, whatever the number of rows. */
export const decodedWeights = (config) => layerWeights(config) + headWeights(config);

function layerWeights(config) {
  const { hidden_size: width, num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const keys = (width / heads) * kvHeads;
  return config.num_hidden_layers * (2 * width * width + 2 * width * keys + 3 * width * config.intermediate_size);
}

const headWeights = (config) => config.hidden_size * config.vocab_size;

function visionFlops(config, patches) {
  const { hidden_size: width, intermediate_size: inner, depth, out_hidden_size: out } = config;
  const pixels = config.in_chans * config.temporal_patch_size * config.patch_size ** 2;
  const full = config.fullatt_block_indexes.length;
  const window = Math.min(patches, (config.window_size / config.patch_size) ** 2);
  const unit = config.spatial_merge_size ** 2;
  const layers = 2 * depth * (4 * width * width + 3 * width * inner);
  const attention = 4 * width * (full * patches + (depth - full) * window);
  const merger = (2 * (unit * width * unit * width + unit * width * out)) / unit;
  return patches * (2 * pixels * width + layers + attention + merger);
}
