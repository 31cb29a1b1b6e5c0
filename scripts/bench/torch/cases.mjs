const layer = (precision, width) => ({
  kind: "layer",
  precision,
  tokens: 1024,
  width,
  heads: width / 128,
  kvHeads: 2,
  inner: width === 2048 ? 11008 : 5504,
});
const attention = (precision, tokens) => ({
  kind: "attention",
  precision,
  tokens,
  heads: 16,
  kvHeads: 16,
  headSize: 128,
});
const logprob = (rows, vocab) => ({ kind: "logprob", rows, vocab });

/** What is measured; the fields go to both programs as they are. */
const CASES = [
  layer("f32", 1024),
  layer("f32", 2048),
  layer("bf16", 1024),
  layer("bf16", 2048),
  attention("f32", 1024),
  attention("f32", 2048),
  attention("bf16", 1024),
  attention("bf16", 2048),
  { kind: "rms_norm", tokens: 4096, width: 2048 },
  { kind: "swiglu", tokens: 1024, width: 11008 },
  logprob(512, 32_000),
  logprob(128, 152_000),
  { kind: "adamw", elements: 40_000_000 },
];

const SIZES = ["tokens", "width", "inner", "rows", "vocab", "elements"];

export const kinds = [...new Set(CASES.map(({ kind }) => kind))];

/** `only`: kinds. `small`: everything a quarter as wide and long, to see that all works. */
export function casesOf({ only, small, kept }) {
  const shrink = (one) => ({
    ...one,
    ...Object.fromEntries(SIZES.filter((s) => s in one).map((s) => [s, one[s] / 4])),
  });
  return CASES.filter(({ kind }) => only === undefined || only.includes(kind))
    .map((one) => (small ? shrink(one) : one))
    .map((one) => (one.kind === "layer" ? { ...one, fresh: !kept } : one));
}

export function nameOf({ kind, precision = "f32", ...sizes }) {
  switch (kind) {
    case "layer":
      return `decoder layer ${precision}, ${sizes.tokens} tokens, width ${sizes.width}`;
    case "attention":
      return `attention ${precision}, ${sizes.tokens} tokens`;
    case "rms_norm":
      return `RMSNorm f32, ${sizes.tokens}×${sizes.width}`;
    case "swiglu":
      return `SwiGLU f32, ${sizes.tokens}×${sizes.width}`;
    case "logprob":
      return `log-probability f32, ${sizes.rows}×${sizes.vocab}`;
    default:
      return `AdamW f32, ${(sizes.elements / 1e6).toFixed(0)} M`;
  }
}

/**
 * What a phase does at least: floating-point operations of matrix products and attention, or bytes that have to be
 * read and written.
 */
export function workOf(one, phase) {
  const back = phase === "backward";
  const { kind, tokens, width } = one;
  // Causal: half of all pairs. Backward makes five products of the forward pass's two.
  const scores = (heads, size) => (back ? 2.5 : 1) * 2 * tokens * tokens * heads * size;
  const floats = (elements, [forward, backward]) => ({ bytes: 4 * elements * (back ? backward : forward) });
  switch (kind) {
    case "layer": {
      const keys = (width / one.heads) * one.kvHeads;
      const products = 2 * tokens * (2 * width * width + 2 * width * keys + 3 * width * one.inner);
      return { flops: (back ? 2 : 1) * products + scores(one.heads, width / one.heads) };
    }
    case "attention":
      return { flops: scores(one.heads, one.headSize) };
    case "rms_norm":
      return floats(tokens * width, [2, 3]);
    case "swiglu":
      return floats(tokens * width, [3, 5]);
    case "logprob":
      return floats(one.rows * one.vocab, [1, 2]);
    default:
      return floats(one.elements, [7, 7]);
  }
}
