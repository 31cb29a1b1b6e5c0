import { parseNumbers } from "../data/text/numbers.js";

export { hasDigit, parseNumbers, removeNumbers, sameNumbers } from "../data/text/numbers.js";

/**
 * How near the numbers are: the mean over the pairs of max(0, 1 − |difference| / |wanted|). A missing or surplus
 * number counts as 0; a wanted 0 must be hit exactly.
 */
export function gradedNumericReward(answer: string, solution: string): number {
  const given = parseNumbers(answer);
  const wanted = parseNumbers(solution);
  const pairs = Math.max(given.length, wanted.length);
  if (pairs === 0) return 1;
  let sum = 0;
  for (let index = 0; index < Math.min(given.length, wanted.length); index += 1) {
    sum += closeness(given[index] as number, wanted[index] as number);
  }
  return sum / pairs;
}

/** 1 less the relative error, 0 at least. */
function closeness(given: number, wanted: number): number {
  return Math.max(0, 1 - relativeError(given, wanted));
}

/** |given − wanted| / |wanted|; a wanted 0, or one too large for a number, must be hit exactly. */
export function relativeError(given: number, wanted: number): number {
  if (given === wanted) return 0;
  if (wanted === 0 || !Number.isFinite(wanted)) return Number.POSITIVE_INFINITY;
  return Math.abs(given - wanted) / Math.abs(wanted);
}
