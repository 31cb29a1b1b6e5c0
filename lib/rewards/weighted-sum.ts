/**
 * The weighted sum of the rewards that apply to a completion; null and NaN are rewards that do not. NaN where none does.
 *
 * @param weights One per reward; all 1 unless given.
 */
export function weightedSum(values: readonly (number | null)[], weights: readonly number[] | undefined): number {
  let sum = Number.NaN;
  for (const [index, value] of values.entries()) {
    if (value === null || Number.isNaN(value)) continue;
    sum = (Number.isNaN(sum) ? 0 : sum) + value * (weights?.[index] ?? 1);
  }
  return sum;
}
