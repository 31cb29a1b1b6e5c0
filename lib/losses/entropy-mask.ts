import { VlmR1Error } from "../errors/index.js";

/**
 * The value below which a share `quantile` of the entropies lies, interpolated linearly between neighbours, in f32 and
 * with the rounding of `torch.quantile`: a threshold a hair above an entropy would leave its token out.
 *
 * @param entropies Of all tokens, in any number of arrays. NaN is refused.
 * @param quantile From 0 to 1. Throws `ERR_ARGUMENT`.
 * @returns Infinity where there are no entropies.
 */
export function entropyThreshold(entropies: readonly ArrayLike<number>[], quantile: number): number {
  if (!(quantile >= 0 && quantile <= 1)) {
    throw new VlmR1Error("ERR_ARGUMENT", `quantile: expected a number from 0 to 1, got ${quantile}`);
  }
  const sorted = joined(entropies).sort();
  // Sorted, NaN is last.
  if (Number.isNaN(sorted.at(-1))) throw new VlmR1Error("ERR_ARGUMENT", "entropies: expected numbers, got NaN");
  if (sorted.length === 0) return Number.POSITIVE_INFINITY;
  const last = sorted.length - 1;
  const rank = Math.min(last, Math.fround(Math.fround(quantile) * last));
  const below = sorted[Math.floor(rank)] as number;
  const above = sorted[Math.ceil(rank)] as number;
  const weight = Math.fround(rank - Math.floor(rank));
  const gap = Math.fround(above - below);
  return weight < 0.5
    ? Math.fround(below + Math.fround(weight * gap))
    : Math.fround(above - Math.fround(gap * Math.fround(1 - weight)));
}

/**
 * TRL's mask of `top_entropy_quantile`: 1 for tokens whose entropy is at least that of the share `1 − topEntropyQuantile`
 * of all tokens.
 *
 * @param entropies `[completions][tokens]`
 * @param topEntropyQuantile Share of tokens to keep, from 0 to 1.
 * @param mask Of the same shape; tokens with 0 are neither counted nor kept. All count unless given.
 */
export function highEntropyMask(
  entropies: readonly ArrayLike<number>[],
  topEntropyQuantile: number,
  mask?: readonly ArrayLike<number>[],
): Uint8Array[] {
  const counts = (row: number, token: number) => mask === undefined || mask[row]?.[token] === 1;
  const counted = entropies.map((values, row) => Array.from(values).filter((_, token) => counts(row, token)));
  const threshold = entropyThreshold(counted, 1 - topEntropyQuantile);
  return entropies.map((values, row) =>
    Uint8Array.from(values, (value, token) => (counts(row, token) && Math.fround(value) >= threshold ? 1 : 0)),
  );
}

function joined(arrays: readonly ArrayLike<number>[]): Float32Array {
  const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let next = 0;
  for (const values of arrays) {
    all.set(values, next);
    next += values.length;
  }
  return all;
}
