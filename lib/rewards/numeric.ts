import { z } from "zod";
import { expectedAnswer, studentAnswer } from "./answer.js";
import { named } from "./named.js";
import { parseNumbers, relativeError } from "./numbers.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

export const NumericSettings = z.object({
  graded: z.boolean().default(false).describe("earn max(0, 1 - relative error) for each number instead of 1 or 0"),
  tolerance: z.number().min(0).default(0).describe("relative error up to which a number counts as equal"),
});
export type NumericOptions = z.input<typeof NumericSettings>;

/**
 * How right the answer's numbers are, from 0 to 1: 1 when it holds the solution's numbers in their order, else 0; with
 * `graded` the mean over the pairs of max(0, 1 − |difference| / |wanted|), a missing or surplus number counting as 0.
 * Null where the solution holds no number.
 */
export function numeric(options: NumericOptions = {}): RewardFunction {
  const { graded, tolerance } = readSettings("numeric", NumericSettings, options);
  return named("numeric", (completion, row) => {
    const wanted = parseNumbers(expectedAnswer(row.solution));
    if (wanted.length === 0) return null;
    const given = parseNumbers(studentAnswer(completion));
    const pairs = Math.max(given.length, wanted.length);
    let sum = 0;
    for (let index = 0; index < Math.min(given.length, wanted.length); index += 1) {
      const error = relativeError(given[index] as number, wanted[index] as number);
      sum += error <= tolerance ? 1 : Math.max(0, 1 - error);
    }
    const mean = sum / pairs;
    return graded ? mean : Number(mean === 1);
  });
}
