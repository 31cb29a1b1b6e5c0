import type { CompletionRecord, Metrics } from "../report/index.js";
import { expectedAnswer } from "../rewards/answer.js";
import { deviation, mean } from "./advantages.js";
import type { JudgedGroup, ScoredGroup } from "./judge.js";
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

/**
 * As TRL logs them: of the weighted sums of the rewards as they are, also where advantages are made of others.
 *
 * @param values Per completion, per reward.
 * @param sums Per completion.
 */
export function rewardMetrics(
  names: readonly string[],
  values: readonly (readonly (number | null)[])[],
  sums: readonly number[],
): Metrics {
  const metrics: Metrics = { reward: mean(sums), reward_std: deviation(sums) };
  for (const [index, name] of names.entries()) {
    const own = values.map((row) => row[index] ?? Number.NaN);
    metrics[`rewards/${name}/mean`] = mean(own);
    metrics[`rewards/${name}/std`] = deviation(own);
  }
  return metrics;
}

/** Tokens that were read and written, counted as TRL does: a prompt once per completion. */
export function tokensRead(scored: readonly ScoredGroup[]): number {
  let sum = 0;
  for (const { group } of scored) {
    for (const { tokens } of group.completions) sum += group.prompt.tokens.length + tokens.length;
  }
  return sum;
}

/** Everything that was sampled, for reports; a group that was dropped has no advantages. */
export function completionRecords(
  scored: readonly ScoredGroup[],
  judged: readonly JudgedGroup[],
  rewardNames: readonly string[],
): CompletionRecord[] {
  const advantages = new Map(judged.map((one) => [one.group, one.advantages]));
  return scored.flatMap(({ group, rewards }) =>
    group.completions.map(({ tokens, finishReason }, index) => ({
      id: group.row.id,
      completion: group.texts[index] ?? "",
      solution: expectedAnswer(group.row.solution),
      rewards: Object.fromEntries(rewardNames.map((name, i) => [name, rewards[index]?.[i] ?? null])),
      advantage: advantages.get(group)?.[index] ?? 0,
      tokens: tokens.length,
      finishReason,
    })),
  );
}
