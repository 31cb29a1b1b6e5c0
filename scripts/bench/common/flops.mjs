/** Floating-point operations of the phases of a step, with each prompt computed once; norms and the like left out. */
export function flopsOf(config, { prompts, generations, completion, picture, promptTokens }) {
  const layers = config.num_hidden_layers;
  const width = config.hidden_size;
  const keys = (width / config.num_attention_heads) * config.num_key_value_heads;
  const token = 2 * layers * (2 * width * width + 2 * width * keys + 3 * width * config.intermediate_size);
  const scores = 4 * layers * width;
  const head = 2 * width * config.vocab_size;
  const rows = prompts * generations;

  const prompt = prompts * promptTokens * (token + (scores * promptTokens) / 2);
  const context = promptTokens + completion / 2;
  const vision = prompts * visionFlops(config.vision_config, (picture / config.vision_config.patch_size) ** 2);
  const forward = vision + prompt + rows * completion * (token + scores * context + head);
  return {
    prefill: vision + prompt + prompts * head,
    decode: rows * (completion - 1) * (token + scores * context + head),
    forward,
    train: 3 * forward,
  };
}

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
