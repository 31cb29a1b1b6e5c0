/**
 * A configuration of TRL's half. `malloc` and `env` (environment variables) are the process's; `attention`,
 * `micro_batch`, `compile`, `mkldnn`, `matmul_precision`, `flush_denormal` and `threads` are read by trl_worker.py;
 * all others are fields of GRPOConfig.
 */

/** What TRL computes in, and what ours does beside it. */
export const PRECISIONS = {
  f32: { ours: "f32", entropyLimit: 1e-3 },
  /** f32 weights, bf16 products: TRL's default. */
  autocast: { ours: "bf16", entropyLimit: 0.02 },
  /** bf16 weights too. */
  bf16: { ours: "bf16", entropyLimit: 0.05 },
};

/** Where a search begins, and what is compared where nothing was searched. */
export const START = { malloc: "tuned", attention: "sdpa", optim: "adamw_torch_fused" };

/** What a search tries, in this order: each is a change to the best so far. */
export function candidates({ prompts, generations }, precision) {
  const sequences = prompts * generations;
  const parts = [2, 4, 8].map((n) => sequences / n).filter(Number.isInteger);
  const inParts = parts.filter((micro) => micro % generations === 0);
  return [
    { malloc: "default" },
    { env: { THP_MEM_ALLOC_ENABLE: "1" } },
    { env: { OMP_WAIT_POLICY: "passive" } },
    { env: { OMP_WAIT_POLICY: "active" } },
    { env: { OMP_PROC_BIND: "true" } },
    { threads: 1 },
    { attention: "eager" },
    { attention: { text_config: "eager", vision_config: "sdpa" } },
    { attention: { text_config: "sdpa", vision_config: "eager" } },
    ...parts.map((micro_batch) => ({ micro_batch })),
    // Generation in as many parts as training.
    ...inParts.map((micro_batch) => ({ micro_batch, steps_per_generation: 1 })),
    { cache_implementation: "static" },
    { pad_to_multiple_of: 16 },
    { optim: "adamw_torch" },
    { flush_denormal: true },
    { mkldnn: false },
    // f32 weights and bf16 products without casting anything.
    ...(precision === "autocast" ? [{ bf16: false, matmul_precision: "medium" }] : []),
    { torch_compile: true },
    { compile: "train" },
    { compile: "all" },
  ];
}

export const merged = (settings, change) =>
  change.env ? { ...settings, ...change, env: { ...settings.env, ...change.env } } : { ...settings, ...change };

/** What a row says of its workload. */
export function shapeOf({ preset, parameters, picture, prompts, generations, completion, threads }) {
  return { preset, parameters, picture, prompts, generations, completion, threads };
}

export const rowKey = ({ preset, picture }, precision) => `${preset}, picture ${picture}, ${precision}`;

/** What a search found for the row, or for the nearest that one was made for; undefined where it found none. */
export function foundSettings(found, { preset, picture }, precision) {
  const rows = Object.entries(found).filter(([, row]) => row.precision === precision);
  const near = [(row) => row.preset === preset && row.picture === picture, (row) => row.preset === preset, () => true];
  for (const fits of near) {
    const row = rows.find(([, one]) => fits(one.shape));
    if (row) return { from: row[0], settings: row[1].settings };
  }
  return undefined;
}
