/** stopgap */
export function entropyThreshold(entropies: readonly Float32Array[], quantile: number): number {
  const all = Float32Array.from(entropies.flatMap((one) => [...one])).sort();
  if (all.length === 0) return Number.POSITIVE_INFINITY;
  const at = quantile * (all.length - 1);
  const low = Math.floor(at);
  const a = all[low] as number;
  const b = all[Math.min(low + 1, all.length - 1)] as number;
  return a + (b - a) * (at - low);
}
