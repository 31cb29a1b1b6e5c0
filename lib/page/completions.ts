import { z } from "zod";
import { lastLinesOf } from "../report/json-lines.js";
import { weightedSum } from "../rewards/weighted-sum.js";
import { objectOf } from "./read-metrics.js";

const CompletionLineSchema = z.object({
  step: z.number(),
  id: z.string(),
  completion: z.string(),
  solution: z.string().default(""),
  rewards: z.record(z.string(), z.number().nullable()),
  // Not a number where a group was dropped.
  advantage: z.number().nullish(),
  tokens: z.number(),
  finish_reason: z.enum(["stop", "length"]),
});
export type CompletionLine = z.output<typeof CompletionLineSchema>;

/** The newest lines of `completions.jsonl`, in its order, whatever its size; what is no such line is passed over. */
export async function readCompletions(path: string, count: number): Promise<CompletionLine[]> {
  const lines = count === 0 ? [] : await lastLinesOf(path, count);
  return lines.flatMap((line) => {
    const parsed = CompletionLineSchema.safeParse(objectOf(line));
    return parsed.success ? [parsed.data] : [];
  });
}

/** The last `count`, the newest step first; a step's own stay in their order, so that a question's are together. */
export function newestFirst(lines: readonly CompletionLine[], count: number): CompletionLine[] {
  const kept = count === 0 ? [] : lines.slice(-count);
  return kept.toSorted((a, b) => b.step - a.step);
}

/** Null where no reward applies. */
export function rewardOf({ rewards }: CompletionLine, config: Readonly<Record<string, unknown>>): number | null {
  const { reward_weights: weights } = config;
  const given = Array.isArray(weights) ? weights.map(Number) : undefined;
  const sum = weightedSum(Object.values(rewards), given);
  return Number.isNaN(sum) ? null : sum;
}
