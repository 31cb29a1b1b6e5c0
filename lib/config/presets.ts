/**
 * Architectures that `init-model --preset` makes from nothing: config.json in the flat layout of the published
 * checkpoints, without the special-token ids, which come from the tokenizer. So does the vocabulary size, except where
 * a published checkpoint has more rows than its tokenizer has tokens.
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
  maxPositions?: number;
  theta?: number;
  /** Rows of the embedding, where it has more than the tokenizer has tokens. */
  vocab?: number;
  tied?: boolean;
}

interface Vision25 {
  hidden: number;
  depth: number;
  heads: number;
  feedForward: number;
  fullAttention: number[];
}

interface Vision2 {
  hidden: number;
  depth: number;
  heads: number;
  mlpRatio: number;
}

/** Head size 128, as in every published checkpoint. */
const PUBLISHED = { mropeSection: [16, 24, 24] as [number, number, number], theta: 1e6 };
const PUBLISHED_25 = { ...PUBLISHED, maxPositions: 128000 };
const PUBLISHED_2 = { ...PUBLISHED, maxPositions: 32768 };
const VISION_2: Vision2 = { hidden: 1280, depth: 32, heads: 16, mlpRatio: 4 };

function vision25(feedForward: number): Vision25 {
  return { hidden: 1280, depth: 32, heads: 16, feedForward, fullAttention: [7, 15, 23, 31] };
}

const TEXT_2B = { hidden: 1536, layers: 28, heads: 12, kvHeads: 2, feedForward: 8960, vocab: 151936 };
const TEXT_3B = { hidden: 2048, layers: 36, heads: 16, kvHeads: 2, feedForward: 11008, vocab: 151936 };
const TEXT_7B = { hidden: 3584, layers: 28, heads: 28, kvHeads: 4, feedForward: 18944, vocab: 152064, tied: false };
const TEXT_32B = { hidden: 5120, layers: 64, heads: 40, kvHeads: 8, feedForward: 27648, vocab: 152064, tied: false };
const TEXT_72B = { hidden: 8192, layers: 80, heads: 64, kvHeads: 8, feedForward: 29568, vocab: 152064, tied: false };

const PATCHES = { in_chans: 3, patch_size: 14, spatial_merge_size: 2, spatial_patch_size: 14, temporal_patch_size: 2 };

export const presets: Readonly<Record<string, Preset>> = {
  tiny: {
    description: "well under a million parameters, for tests",
    config: qwen25vl(
      { hidden: 48, layers: 2, heads: 4, kvHeads: 2, feedForward: 96, mropeSection: [2, 2, 2] },
      { hidden: 32, depth: 2, heads: 2, feedForward: 64, fullAttention: [1] },
    ),
  },
  starter: {
    description: "about three million parameters; the food example's starter model",
    config: qwen25vl(
      { hidden: 192, layers: 4, heads: 6, kvHeads: 2, feedForward: 512, mropeSection: [4, 6, 6] },
      { hidden: 128, depth: 4, heads: 4, feedForward: 384, fullAttention: [1, 3] },
    ),
  },
  "bench-10m": {
    description: "about ten million parameters; the speed comparisons",
    config: qwen25vl(
      { hidden: 256, layers: 9, heads: 8, kvHeads: 2, feedForward: 768, mropeSection: [4, 6, 6] },
      { hidden: 160, depth: 6, heads: 5, feedForward: 480, fullAttention: [2, 5] },
    ),
  },
  "tiny-qwen2-vl": {
    description: "well under a million parameters, Qwen2-VL's layers, for tests",
    config: qwen2vl(
      { hidden: 48, layers: 2, heads: 4, kvHeads: 2, feedForward: 96, mropeSection: [2, 2, 2] },
      { hidden: 32, depth: 2, heads: 2, mlpRatio: 2 },
    ),
  },
  "qwen2-vl-2b": {
    description: "the shapes of Qwen2-VL-2B: 2.2 billion parameters",
    config: qwen2vl({ ...PUBLISHED_2, ...TEXT_2B }, VISION_2),
  },
  "qwen2-vl-7b": {
    description: "the shapes of Qwen2-VL-7B: 8.3 billion parameters",
    config: qwen2vl({ ...PUBLISHED_2, ...TEXT_7B }, VISION_2),
  },
  "qwen2-vl-72b": {
    description: "the shapes of Qwen2-VL-72B: 73.4 billion parameters",
    config: qwen2vl({ ...PUBLISHED_2, ...TEXT_72B }, VISION_2),
  },
  "qwen2.5-vl-3b": {
    description: "the shapes of Qwen2.5-VL-3B: 3.8 billion parameters",
    config: qwen25vl({ ...PUBLISHED_25, ...TEXT_3B }, vision25(3420)),
  },
  "qwen2.5-vl-7b": {
    description: "the shapes of Qwen2.5-VL-7B: 8.3 billion parameters",
    config: qwen25vl({ ...PUBLISHED_25, ...TEXT_7B }, vision25(3420)),
  },
  "qwen2.5-vl-32b": {
    description: "the shapes of Qwen2.5-VL-32B: 33.5 billion parameters",
    config: qwen25vl({ ...PUBLISHED_25, ...TEXT_32B }, vision25(3456)),
  },
  "qwen2.5-vl-72b": {
    description: "the shapes of Qwen2.5-VL-72B: 73.4 billion parameters",
    config: qwen25vl({ ...PUBLISHED_25, ...TEXT_72B }, vision25(3456)),
  },
};

export const presetNames: readonly string[] = Object.keys(presets);

/** What the families' configurations have in common. */
function textFields(sizes: Sizes): Record<string, unknown> {
  const { maxPositions = 4096, theta = 10000, tied = true, vocab } = sizes;
  return {
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
    rope_theta: theta,
    sliding_window: Math.min(maxPositions, 32768),
    tie_word_embeddings: tied,
    use_cache: true,
    use_sliding_window: false,
    ...(vocab === undefined ? {} : { vocab_size: vocab }),
  };
}

function qwen25vl(sizes: Sizes, vision: Vision25): Record<string, unknown> {
  return {
    architectures: ["Qwen2_5_VLForConditionalGeneration"],
    model_type: "qwen2_5_vl",
    ...textFields(sizes),
    vision_config: {
      depth: vision.depth,
      fullatt_block_indexes: vision.fullAttention,
      hidden_act: "silu",
      hidden_size: vision.hidden,
      intermediate_size: vision.feedForward,
      num_heads: vision.heads,
      out_hidden_size: sizes.hidden,
      tokens_per_second: 2,
      window_size: 112,
      ...PATCHES,
    },
  };
}

/** Here `hidden_size` of the vision tower is the language model's, and `embed_dim` the tower's own. */
function qwen2vl(sizes: Sizes, vision: Vision2): Record<string, unknown> {
  return {
    architectures: ["Qwen2VLForConditionalGeneration"],
    model_type: "qwen2_vl",
    ...textFields(sizes),
    vision_config: {
      depth: vision.depth,
      embed_dim: vision.hidden,
      hidden_act: "quick_gelu",
      hidden_size: sizes.hidden,
      mlp_ratio: vision.mlpRatio,
      num_heads: vision.heads,
      ...PATCHES,
    },
  };
}
