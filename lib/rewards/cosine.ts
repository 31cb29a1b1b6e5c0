import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { accuracy } from "./accuracy.js";
import { isBoxReader, readsBoxes } from "./boxes.js";
import { named } from "./named.js";
import { readSettings } from "./settings.js";
import type { RewardFunction, RewardValue } from "./types.js";

export const CosineSettings = z.object({
  maxLen: z.int().min(1).optional().describe("tokens at which the curve ends (default: max_completion_length)"),
  minValueWrong: z.number().default(-1).describe("of a wrong completion of no length"),
  maxValueWrong: z.number().default(-0.5).describe("of a wrong completion of max_len tokens and more"),
  minValueCorrect: z.number().default(0.5).describe("of a correct completion of max_len tokens and more"),
  maxValueCorrect: z.number().default(1).describe("of a correct completion of no length"),
  threshold: z.number().default(0.7).describe("the inner reward's value from which a completion is correct"),
  reward: z
    .custom<RewardFunction>((value) => typeof value === "function", "expected the name of a built-in reward")
    .optional()
    .describe("the inner reward that says whether a completion is correct (default: accuracy)"),
});
export type CosineOptions = z.input<typeof CosineSettings>;

/**
 * Reward for correct answers, the shorter the better, and punishment for wrong ones, the longer the milder, along a
 * half cosine of the length in tokens (Yeo et al. 2025, arXiv 2502.03373, appendix C.1; defaults as TRL):
 * to + (from − to) · (1 + cos(π · min(1, tokens / max_len))) / 2, between the value at no length and that at max_len.
 * Null where the inner reward does not apply.
 */
export function cosine(options: CosineOptions = {}): RewardFunction {
  const settings = readSettings("cosine", CosineSettings, options);
  const { minValueWrong, maxValueWrong, minValueCorrect, maxValueCorrect, threshold } = settings;
  if (minValueWrong > maxValueWrong || minValueCorrect > maxValueCorrect) {
    throw new VlmR1Error("ERR_REWARD", "the reward cosine: expected min values below max values", {
      hint: "min_value_wrong ≤ max_value_wrong and min_value_correct ≤ max_value_correct.",
    });
  }
  const inner = settings.reward ?? accuracy();
  const value = (correct: RewardValue, tokens: number, maxLen: number) => {
    if (correct === null || correct === undefined) return null;
    const right = correct >= threshold;
    const [from, to] = right ? [maxValueCorrect, minValueCorrect] : [minValueWrong, maxValueWrong];
    return to + 0.5 * (from - to) * (1 + Math.cos(Math.min(tokens / maxLen, 1) * Math.PI));
  };
  const reward = named("cosine", (completion, row, context) => {
    const { tokens, maxCompletionLength } = context;
    const length = settings.maxLen ?? maxCompletionLength;
    const judged = inner(completion, row, context);
    // Without a promise where none is needed: a promise costs a turn of the event loop.
    if (!(judged instanceof Promise)) return value(judged, tokens.length, length);
    return judged.then((correct) => value(correct, tokens.length, length));
  });
  return isBoxReader(inner) ? readsBoxes(reward) : reward;
}
