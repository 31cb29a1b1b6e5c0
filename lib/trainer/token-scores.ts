import type { TokenScores } from "../engine/index.js";
import type { JudgedGroup } from "./judge.js";
import { groupTokens, packGroups } from "./micro-batches.js";

/** Something that scores completions by teacher forcing: the policy itself, or the reference. */
interface Scoring {
  logProbs(options: {
    groups: JudgedGroup["native"][];
    temperature: number;
    signal: AbortSignal | undefined;
  }): Promise<TokenScores[][]>;
}

export interface ScoreGroupsOptions {
  temperature: number;
  /** Packed tokens of one pass. */
  budget: number;
  signal: AbortSignal | undefined;
}

/** Log-probabilities and entropies of groups, per completion, in passes of at most `budget` tokens. */
export async function tokenScores(
  model: Scoring,
  groups: readonly JudgedGroup[],
  { temperature, budget, signal }: ScoreGroupsOptions,
): Promise<Map<JudgedGroup, TokenScores[]>> {
  const found = new Map<JudgedGroup, TokenScores[]>();
  for (const batch of packGroups(groups, budget, ({ native }) => groupTokens(native))) {
    const scores = await model.logProbs({ groups: batch.map(({ native }) => native), temperature, signal });
    for (const [index, group] of batch.entries()) found.set(group, scores[index] ?? []);
  }
  return found;
}
