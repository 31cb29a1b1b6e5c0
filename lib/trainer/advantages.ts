import { weightedSum } from "../rewards/weighted-sum.js";

/** What a group's rewards, less their mean, are divided by. */
export type ScaleRewards = "group" | "batch" | "none";

/** How several rewards become one advantage: `AdvantageOptions.aggregation`. */
export type RewardAggregation = "sum_then_normalize" | "normalize_then_sum";

/** Names are those of TRL's options. */
export interface AdvantageOptions {
  /** Completions per group; the rewards of a group are neighbours. */
  numGenerations: number;
  /** One per reward; all 1 unless given. */
  weights?: readonly number[] | undefined;
  /** What the sum of the rewards is divided by; "group" unless given. Unused by "normalize_then_sum". */
  scaleRewards?: ScaleRewards | undefined;
  /** Whether rewards are summed and then compared, or each compared by itself and then summed (GDPO). */
  aggregation?: RewardAggregation | undefined;
}

/** What `computeAdvantages` gives. */
export interface Advantages {
  /** Per completion; 0 where no reward applied or its group has fewer than two scored completions to compare. */
  advantages: Float32Array;
  /** Per completion: the weighted sum of the rewards that applied, normalised first or not; NaN where none did. */
  combined: number[];
  /**
   * Share of completions whose standard deviation is zero: that of the group, or of the batch for "batch" and
   * "normalize_then_sum".
   */
  zeroStdShare: number;
}

/** Added to the standard deviation before dividing, as TRL does. */
const EPSILON = 1e-4;
/** Below this a standard deviation is zero (torch.isclose's absolute tolerance). */
const ZERO = 1e-8;

/**
 * Group-relative advantages as TRL 1.13 computes them.
 *
 * - `sum_then_normalize` (the default): the weighted sum of the rewards minus the group's mean, divided by the unbiased
 *   standard deviation of the group or the batch plus 1e-4.
 * - `normalize_then_sum`: each reward minus its mean in the group, divided by its standard deviation there plus 1e-4;
 *   then the weighted sum of these, in the same way compared over the batch.
 *
 * @param rewards Per completion, per reward; null or NaN: not applicable, left out of sums, means and deviations.
 */
export function computeAdvantages(
  rewards: readonly (readonly (number | null)[])[],
  options: AdvantageOptions,
): Advantages {
  return options.aggregation === "normalize_then_sum" ? normalizeThenSum(rewards, options) : sumFirst(rewards, options);
}

function sumFirst(rewards: readonly (readonly (number | null)[])[], options: AdvantageOptions): Advantages {
  const { numGenerations, weights, scaleRewards = "group" } = options;
  const combined = rewards.map((values) => weightedSum(values, weights));
  const batch = scaleRewards === "batch" ? deviation(combined) : undefined;
  const advantages = new Float32Array(rewards.length);
  let zeroStd = 0;
  for (let start = 0; start < combined.length; start += numGenerations) {
    const group = combined.slice(start, start + numGenerations);
    const average = mean(group);
    const std = batch ?? deviation(group);
    if (std <= ZERO) zeroStd += group.length;
    for (const [index, reward] of group.entries()) {
      const scaled = scaleRewards === "none" ? reward - average : (reward - average) / (std + EPSILON);
      advantages[start + index] = Number.isNaN(scaled) ? 0 : scaled;
    }
  }
  return { advantages, combined, zeroStdShare: rewards.length === 0 ? 0 : zeroStd / rewards.length };
}

function normalizeThenSum(
  rewards: readonly (readonly (number | null)[])[],
  { numGenerations, weights }: AdvantageOptions,
): Advantages {
  const normalized = rewards.map((values) => [...values]);
  for (let start = 0; start < rewards.length; start += numGenerations) {
    const group = normalized.slice(start, start + numGenerations);
    for (let k = 0; k < (group[0]?.length ?? 0); k += 1) {
      const scaled = standardize(group.map((values) => values[k] ?? Number.NaN));
      for (const [index, values] of group.entries()) values[k] = scaled[index] as number;
    }
  }
  const combined = normalized.map((values, row) => {
    const scored = rewards[row]?.some((value) => value !== null && !Number.isNaN(value)) ?? false;
    const sum = weightedSum(values, weights);
    // A reward that is alone in its group says nothing there, but it was given.
    return scored && Number.isNaN(sum) ? 0 : sum;
  });
  const advantages = Float32Array.from(standardize(combined), (value) => (Number.isNaN(value) ? 0 : value));
  const flat = combined.length > 0 && deviation(combined) <= ZERO;
  return { advantages, combined, zeroStdShare: flat ? 1 : 0 };
}

/** Minus the mean, over the standard deviation plus ε. */
function standardize(values: readonly number[]): number[] {
  const average = mean(values);
  const std = deviation(values);
  return values.map((value) => (value - average) / (std + EPSILON));
}

/**
 * The mean of the numbers that are there; NaN when there are none. Exact for equal numbers, so that a group of equal
 * rewards has advantages of exactly 0 and not of rounding noise.
 */
export function mean(values: readonly number[]): number {
  const present = values.filter((value) => !Number.isNaN(value));
  const [first] = present;
  if (first !== undefined && present.every((value) => value === first)) return first;
  return present.reduce((sum, value) => sum + value, 0) / present.length;
}

/** Unbiased standard deviation of the numbers that are there: 0 for a list of one, NaN when too few are there. */
export function deviation(values: readonly number[]): number {
  if (values.length === 1) return 0;
  const present = values.filter((value) => !Number.isNaN(value));
  if (present.length < 2) return Number.NaN;
  const average = mean(present);
  return Math.sqrt(present.reduce((sum, value) => sum + (value - average) ** 2, 0) / (present.length - 1));
}
