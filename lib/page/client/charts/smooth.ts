/**
 * Exponential moving average, corrected for its start, of the values that are there: `weight` 0 leaves them as they
 * are, near 1 hardly anything moves.
 */
export function smooth(values: readonly (number | null | undefined)[], weight: number): (number | null | undefined)[] {
  let [sum, norm] = [0, 0];
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}
