import { isBetter } from "./best-checkpoint.js";

export interface EarlyStoppingOptions {
  /** Evaluations in a row without a better one before the run ends; 0: never. */
  patience: number;
  /** How much better counts as better. */
  threshold: number;
  greaterIsBetter: boolean;
}

/**
 * Evaluations in a row without a better one, this one included; as transformers' `EarlyStoppingCallback` counts them:
 * it starts anew where `value` is better than the best before it by more than the threshold. NaN is never better.
 */
export function countWithoutBetter(
  before: number,
  value: number,
  best: number | undefined,
  { threshold, greaterIsBetter }: EarlyStoppingOptions,
): number {
  const better = isBetter(value, best, greaterIsBetter);
  return better && (best === undefined || Math.abs(value - best) > threshold) ? 0 : before + 1;
}

/** Why a run is to end now; undefined where it is not. */
export function earlyStopReason(count: number, metric: string, { patience }: EarlyStoppingOptions): string | undefined {
  if (patience === 0 || count < patience) return undefined;
  return `early stopped after ${count} ${count === 1 ? "evaluation" : "evaluations"} without a better ${metric}`;
}
