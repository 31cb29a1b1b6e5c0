/** A value and where it lies with 95 % confidence. */
export interface ConfidenceInterval {
  value: number;
  low: number;
  high: number;
}

/** Standard normal quantile of 97.5 %. */
const Z95 = 1.959963984540054;

/** NaN of no values. */
export function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** Of sorted values, between neighbours linearly, as numpy's default; NaN of no values. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  // Infinite neighbours that are equal have no difference.
  return low === high ? low : low + (high - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

/**
 * Wilson's score interval of a share of `trials`, which need not be whole. Unlike p ± 1.96 · √(p(1−p)/n) it stays in
 * 0 … 1 and says something about shares of 0 and 1. Of no trials all three are NaN.
 */
export function wilsonInterval(share: number, trials: number): ConfidenceInterval {
  const z2 = Z95 ** 2 / trials;
  const centre = (share + z2 / 2) / (1 + z2);
  const half = (Z95 / (1 + z2)) * Math.sqrt((share * (1 - share)) / trials + z2 / (4 * trials));
  // At shares of 0 and 1 rounding would leave a border just beside the share.
  return {
    value: share,
    low: Math.max(0, Math.min(share, centre - half)),
    high: Math.min(1, Math.max(share, centre + half)),
  };
}

/** Pearson's correlation; NaN of fewer than three pairs, or where one side does not vary. */
export function correlation(x: readonly number[], y: readonly number[]): number {
  if (x.length < 3) return Number.NaN;
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [index, value] of x.entries()) {
    const [dx, dy] = [value - meanX, (y[index] as number) - meanY];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  // Rounding leaves a trace of variance in equal values.
  const varies = (values: readonly number[]) => values.some((value) => value !== values[0]);
  if (!varies(x) || !varies(y)) return Number.NaN;
  return Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}

/** Spearman's: the correlation of the ranks. */
export function rankCorrelation(x: readonly number[], y: readonly number[]): number {
  return correlation(ranks(x), ranks(y));
}

/** From 1; equal values share the mean of their ranks. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, index) => index).sort((a, b) => (values[a] as number) - (values[b] as number));
  const out = new Array<number>(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end] as number] === values[order[start] as number]) end += 1;
    for (let at = start; at < end; at += 1) out[order[at] as number] = (start + 1 + end) / 2;
    start = end;
  }
  return out;
}

/**
 * The exact two-sided p-value of the sign test: how likely so uneven a count is where each of `wins + losses` falls to
 * either side with probability ½. Of right and wrong answers this is McNemar's exact test. 1 where there is neither.
 */
export function signTest(wins: number, losses: number): number {
  const total = wins + losses;
  // The logarithm of the binomial coefficient grows term by term; the coefficient itself would overflow.
  let logTerm = -total * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= Math.min(wins, losses); k += 1) {
    tail += Math.exp(logTerm);
    logTerm += Math.log(total - k) - Math.log(k + 1);
  }
  return Math.min(1, 2 * tail);
}
