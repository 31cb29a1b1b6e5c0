import type { Row } from "../../lib/data/datasets/index.js";
import type { RewardContext, RewardFunction, RewardImage } from "../../lib/rewards/index.js";
import type { Scorable } from "../../lib/rewards/score.js";

/** A row with this solution. */
export function rewardRow(solution: string, raw: Record<string, unknown> = {}, question = "What is this?"): Row {
  return { id: "row", messages: [{ role: "user", content: question }], images: [], solution, raw };
}

export function rewardContext(more: Partial<RewardContext> = {}): RewardContext {
  return {
    step: 0,
    evaluation: false,
    signal: new AbortController().signal,
    question: "What is this?",
    images: [],
    tokens: [],
    truncated: false,
    maxCompletionLength: 100,
    ...more,
  };
}

/** What a reward says of an answer in tags. */
export function judged(
  reward: RewardFunction,
  answer: string,
  solution: string,
  raw: Record<string, unknown> = {},
  more: Partial<RewardContext> = {},
) {
  return reward(`<think>t</think><answer>${answer}</answer>`, rewardRow(solution, raw), rewardContext(more));
}

export function tokensOf(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

export const PICTURE: RewardImage = { path: "a.png", width: 1000, height: 500, resizedWidth: 560, resizedHeight: 280 };

export function scorable(row: Row, completion: string, more: Partial<Scorable> = {}): Scorable {
  return { row, completion, tokens: tokensOf(3), finishReason: "stop", images: [], ...more };
}
