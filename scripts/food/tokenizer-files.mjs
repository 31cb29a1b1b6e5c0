// The files of a Hugging Face tokenizer and processor folder, in the shape of Qwen2.5-VL's.
import { BYTE_SYMBOLS } from "./bpe.mjs";
import { SPLIT_PATTERN } from "./corpus.mjs";

const SPECIAL_TOKENS = [
  "<|endoftext|>",
  "<|im_start|>",
  "<|im_end|>",
  "<|object_ref_start|>",
  "<|object_ref_end|>",
  "<|box_start|>",
  "<|box_end|>",
  "<|quad_start|>",
  "<|quad_end|>",
  "<|vision_start|>",
  "<|vision_end|>",
  "<|vision_pad|>",
  "<|image_pad|>",
  "<|video_pad|>",
];

/** Whole tokens, but text: decoding without special tokens keeps them. */
const TAG_TOKENS = ["<think>", "</think>", "<answer>", "</answer>"];

/** Longest conversation that the starter is meant for. */
const MODEL_MAX_LENGTH = 2048;

/**
 * Renders messages as Qwen2.5-VL's template does: ChatML, a default system message, a placeholder
 * for each picture or video, numbered where add_vision_id is set.
 */
export const CHAT_TEMPLATE = `
{%- set seen = namespace(images=0, videos=0) -%}
{%- if messages and messages[0]['role'] != 'system' -%}
  {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {{- '<|im_start|>' + message['role'] + '\\n' -}}
  {%- if message['content'] is string -%}
    {{- message['content'] -}}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'image' or 'image' in part or 'image_url' in part -%}
        {%- set seen.images = seen.images + 1 -%}
        {%- if add_vision_id -%}{{- 'Picture ' ~ seen.images ~ ': ' -}}{%- endif -%}
        {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
      {%- elif part['type'] == 'video' or 'video' in part -%}
        {%- set seen.videos = seen.videos + 1 -%}
        {%- if add_vision_id -%}{{- 'Video ' ~ seen.videos ~ ': ' -}}{%- endif -%}
        {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
      {%- elif 'text' in part -%}
        {{- part['text'] -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
`.trim();

/**
 * @param {import("./bpe.mjs").Merge[]} merges
 * @returns {Record<string, object>} contents by file name
 */
export function tokenizerFiles(merges) {
  const pieces = [...BYTE_SYMBOLS.map(([, symbol]) => symbol), ...merges.map((pair) => pair.join(""))];
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  if (Object.keys(vocab).length !== pieces.length) throw new Error("two merges make the same token");
  const added = addedTokens(pieces.length);
  const idOf = (content) => added.find((token) => token.content === content).id;
  return {
    "tokenizer.json": tokenizer(vocab, merges, added),
    "tokenizer_config.json": tokenizerConfig(added),
    "preprocessor_config.json": preprocessorConfig(),
    "generation_config.json": {
      bos_token_id: idOf("<|endoftext|>"),
      do_sample: true,
      eos_token_id: [idOf("<|im_end|>"), idOf("<|endoftext|>")],
      pad_token_id: idOf("<|endoftext|>"),
      temperature: 1.0,
    },
  };
}

function addedTokens(firstId) {
  return [...SPECIAL_TOKENS, ...TAG_TOKENS].map((content, index) => ({
    id: firstId + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: SPECIAL_TOKENS.includes(content),
  }));
}

function tokenizer(vocab, merges, added) {
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  const split = {
    type: "Split",
    pattern: { Regex: SPLIT_PATTERN },
    behavior: "Isolated",
    invert: false,
  };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "Sequence", pretokenizers: [split, byteLevel] },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((pair) => pair.join(" ")),
    },
  };
}

function tokenizerConfig(added) {
  return {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
    additional_special_tokens: SPECIAL_TOKENS.slice(1),
    bos_token: null,
    chat_template: CHAT_TEMPLATE,
    clean_up_tokenization_spaces: false,
    eos_token: "<|im_end|>",
    errors: "replace",
    model_max_length: MODEL_MAX_LENGTH,
    pad_token: "<|endoftext|>",
    processor_class: "Qwen2_5_VLProcessor",
    split_special_tokens: false,
    tokenizer_class: "Qwen2Tokenizer",
    unk_token: null,
  };
}

export function preprocessorConfig() {
  return {
    image_processor_type: "Qwen2VLImageProcessor",
    processor_class: "Qwen2_5_VLProcessor",
    do_convert_rgb: true,
    do_normalize: true,
    do_rescale: true,
    do_resize: true,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
    rescale_factor: 1 / 255,
    resample: 3,
    min_pixels: 56 * 56,
    max_pixels: 448 * 448,
    patch_size: 14,
    temporal_patch_size: 2,
    merge_size: 2,
  };
}
