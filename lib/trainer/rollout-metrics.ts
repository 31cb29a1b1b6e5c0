import type { Metrics } from "../report/index.js";
import { deviation, mean } from "./advantages.js";
import type { Group } from "./rollout.js";

/** Lengths in tokens, the end token included, as TRL counts them; the terminated ones are 0 where there are none. */
export function lengthMetrics(groups: readonly Group[]): Metrics {
  const completions = groups.flatMap((group) => group.completions);
  const lengths = completions.map(({ tokens }) => tokens.length);
  const ended = completions.filter(({ finishReason }) => finishReason === "stop").map(({ tokens }) => tokens.length);
  const terminated = ended.length > 0 ? ended : [0];
  return {
    "completions/mean_length": mean(lengths),
    "completions/min_length": Math.min(...lengths),
    "completions/max_length": Math.max(...lengths),
    "completions/mean_terminated_length": mean(terminated),
    "completions/min_terminated_length": Math.min(...terminated),
    "completions/max_terminated_length": Math.max(...terminated),
    "completions/clipped_ratio": 1 - ended.length / completions.length,
  };
}

/** @param values Per completion, per reward. */
export function rewardMetrics(
  names: readonly string[],
  values: readonly (readonly (number | null)[])[],
  combined: readonly number[],
): Metrics {
  const metrics: Metrics = { reward: mean(combined), reward_std: deviation(combined) };
  for (const [index, name] of names.entries()) {
    const own = values.map((row) => row[index] ?? Number.NaN);
    metrics[`rewards/${name}/mean`] = mean(own);
    metrics[`rewards/${name}/std`] = deviation(own);
  }
  return metrics;
}
