import { z } from "zod";
import { expectedAnswer, firstAnswer } from "./answer.js";
import { levenshteinRatio } from "./levenshtein.js";
import { named } from "./named.js";
import { gradedNumericReward, hasDigit, removeNumbers, sameNumbers } from "./numbers.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

export const ContentSettings = z.object({
  numeric: z
    .enum(["exact", "graded"])
    .default("exact")
    .describe("exact: 1 when all numbers are equal, else 0; graded: nearer numbers earn more"),
});
export type ContentOptions = z.input<typeof ContentSettings>;

/**
 * The reward for answers that hold a name and numbers, from 0 to 2: what the numbers earn, plus the likeness of the
 * texts without numbers (python-Levenshtein's ratio). Reads the first `<answer>` of the completion; 0 when there is
 * none or when the solution holds no digit.
 */
export function content(options: ContentOptions = {}): RewardFunction {
  const graded = readSettings("content", ContentSettings, options).numeric === "graded";
  return named(graded ? "content_graded" : "content", (completion, row) =>
    contentReward(completion, row.solution ?? "", graded),
  );
}

/** `content` with `numeric: "graded"`. */
export function contentGraded(): RewardFunction {
  return content({ numeric: "graded" });
}

export function contentReward(completion: string, solution: string, graded = false): number {
  const answer = firstAnswer(completion);
  const expected = expectedAnswer(solution);
  if (answer === undefined || !hasDigit(expected)) return 0;
  const numeric = graded ? gradedNumericReward(answer, expected) : Number(sameNumbers(answer, expected));
  return numeric + levenshteinRatio(removeNumbers(answer), removeNumbers(expected));
}
