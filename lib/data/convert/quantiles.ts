/** Of some numbers; all 0 where there are none. */
export interface Quantiles {
  min: number;
  median: number;
  /** 95 of 100 are at most this. */
  p95: number;
  max: number;
}

/** Each is one of the values: the least with enough of them at most as large. */
export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { min: at(0), median: at(0.5), p95: at(0.95), max: at(1) };
}
