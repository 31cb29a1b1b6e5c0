/**
 * Architectures that `init-model --preset` makes from nothing: Qwen2.5-VL's config.json in the flat layout of the
 * published checkpoints, without the vocabulary size and the special-token ids, which come from the tokenizer.
 */
export interface Preset {
  description: string;
  config: Record<string, unknown>;
}

interface Sizes {
  hidden: number;
  layers: number;
  heads: number;
  kvHeads: number;
  feedForward: number;
  /** Half a head's size, split over time, height, width. */
  mropeSection: [number, number, number];
  vision: { hidden: number; depth: number; heads: number; feedForward: number; fullAttention: number[] };
  maxPositions?: number;
}

export const presets: Readonly<Record<string, Preset>> = {
  tiny: {
    description: "well under a million parameters, for tests",
    config: qwen25vl({
      hidden: 48,
      layers: 2,
      heads: 4,
      kvHeads: 2,
      feedForward: 96,
      mropeSection: [2, 2, 2],
      vision: { hidden: 32, depth: 2, heads: 2, feedForward: 64, fullAttention: [1] },
    }),
  },
  starter: {
    description: "about three million parameters; the food example's starter model",
    config: qwen25vl({
      hidden: 192,
      layers: 4,
      heads: 6,
      kvHeads: 2,
      feedForward: 512,
      mropeSection: [4, 6, 6],
      vision: { hidden: 128, depth: 4, heads: 4, feedForward: 384, fullAttention: [1, 3] },
    }),
  },
  "bench-10m": {
    description: "about ten million parameters; the speed comparisons",
    config: qwen25vl({
      hidden: 256,
      layers: 9,
      heads: 8,
      kvHeads: 2,
      feedForward: 768,
      mropeSection: [4, 6, 6],
      vision: { hidden: 160, depth: 6, heads: 5, feedForward: 480, fullAttention: [2, 5] },
    }),
  },
};

export const presetNames: readonly string[] = Object.keys(presets);

function qwen25vl(sizes: Sizes): Record<string, unknown> {
  const maxPositions = sizes.maxPositions ?? 4096;
  return {
    architectures: ["Qwen2_5_VLForConditionalGeneration"],
    model_type: "qwen2_5_vl",
    attention_dropout: 0.0,
    hidden_act: "silu",
    hidden_size: sizes.hidden,
    initializer_range: 0.02,
    intermediate_size: sizes.feedForward,
    max_position_embeddings: maxPositions,
    max_window_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_hidden_layers: sizes.layers,
    num_key_value_heads: sizes.kvHeads,
    rms_norm_eps: 1e-6,
    rope_scaling: { type: "mrope", mrope_section: sizes.mropeSection },
    rope_theta: 10000.0,
    sliding_window: maxPositions,
    tie_word_embeddings: true,
    use_cache: true,
    use_sliding_window: false,
    vision_config: {
      depth: sizes.vision.depth,
      fullatt_block_indexes: sizes.vision.fullAttention,
      hidden_act: "silu",
      hidden_size: sizes.vision.hidden,
      in_chans: 3,
      intermediate_size: sizes.vision.feedForward,
      num_heads: sizes.vision.heads,
      out_hidden_size: sizes.hidden,
      patch_size: 14,
      spatial_merge_size: 2,
      spatial_patch_size: 14,
      temporal_patch_size: 2,
      tokens_per_second: 2,
      window_size: 112,
    },
  };
}
