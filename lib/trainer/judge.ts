import type { GrpoConfig } from "../config/train-schema.js";
import type { NativeGroup } from "../engine/index.js";
import { span } from "../report/spans.js";
import { rewardImages } from "../rewards/images.js";
import type { Scorer } from "../rewards/score.js";
import { weightedSum } from "../rewards/weighted-sum.js";
import { computeAdvantages } from "./advantages.js";
import type { StepContext } from "./objective.js";
import type { Group } from "./rollout.js";

/** A group of completions with what the rewards say of them; arrays are per completion. */
export interface ScoredGroup {
  group: Group;
  /** Per reward. */
  rewards: (number | null)[][];
  /** Weighted sum of the rewards as they are; NaN where none applies. */
  reward: number[];
  /** What completions are compared by: the same, or with `normalize_then_sum` the sum of what is normalised. */
  combined: number[];
}

/** A scored group as the engine is to learn from it. */
export interface JudgedGroup extends ScoredGroup {
  native: NativeGroup;
  advantages: Float32Array;
  /** 0: left out of the loss. */
  mask: Uint8Array;
}

/** Asks the rewards about every completion. */
export async function scoreGroups(
  scorer: Scorer,
  groups: readonly Group[],
  config: GrpoConfig,
  step: number,
  { signal, warn }: StepContext,
): Promise<ScoredGroup[]> {
  const items = groups.flatMap(({ row, prompt, completions, texts }) =>
    completions.map(({ tokens, finishReason }, index) => {
      const images = rewardImages(row, prompt.pictures);
      return { row, completion: texts[index] as string, tokens, finishReason, images };
    }),
  );
  const { maxCompletionLength, rewardTimeout, rewardConcurrency: concurrency, rewardRetries: retries } = config;
  const limits = { maxCompletionLength, timeLimit: rewardTimeout * 1000, concurrency, retries };
  const options = { step, evaluation: false, ...limits, signal };
  const { values, failures } = await span("rewards", () => scorer.score(items, options));
  for (const { reward, row, message } of failures) warn(`reward ${reward}, row ${row}: ${message}`);
  return perGroup(groups, config, (group, from, to) => {
    const rewards = values.slice(from, to);
    const { combined } = computeAdvantages(rewards, advantageOptions(config));
    return { group, rewards, reward: rewards.map((own) => weightedSum(own, config.rewardWeights)), combined };
  });
}

/** Whether a group's completions differ in what they are compared by: only then does it say what to do more of. */
export function teaches({ combined }: ScoredGroup): boolean {
  const present = combined.filter((value) => !Number.isNaN(value));
  return present.some((value) => value !== present[0]);
}

/** Advantages of groups that are learned from together, and the share of completions whose group does not differ. */
export function judge(
  groups: readonly ScoredGroup[],
  config: GrpoConfig,
): { judged: JudgedGroup[]; zeroStdShare: number } {
  const values = groups.flatMap(({ rewards }) => rewards);
  const { advantages, zeroStdShare } = computeAdvantages(values, advantageOptions(config));
  const judged = perGroup(groups, config, (scored, from, to): JudgedGroup => {
    const { group } = scored;
    return {
      ...scored,
      native: { prompt: group.prompt, completions: group.completions.map(({ tokens }) => tokens) },
      advantages: advantages.slice(from, to),
      mask: Uint8Array.from(group.completions, ({ finishReason }) =>
        config.maskTruncatedCompletions && finishReason === "length" ? 0 : 1,
      ),
    };
  });
  return { judged, zeroStdShare };
}

function advantageOptions(config: GrpoConfig) {
  const { numGenerations, rewardWeights: weights, scaleRewards, multiObjectiveAggregation: aggregation } = config;
  return { numGenerations, weights, scaleRewards, aggregation };
}

/** Places of each group's completions among those of all. */
function perGroup<T, U>(
  groups: readonly T[],
  { numGenerations }: Pick<GrpoConfig, "numGenerations">,
  make: (group: T, from: number, to: number) => U,
): U[] {
  return groups.map((group, index) => make(group, index * numGenerations, (index + 1) * numGenerations));
}
