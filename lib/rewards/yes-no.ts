import { expectedAnswer, studentAnswer } from "./answer.js";
import { named } from "./named.js";
import { halfWidth } from "./plain.js";
import type { RewardFunction } from "./types.js";

/** Longer words first: "不是" holds "是", "incorrect" holds "correct". "是否" and "是不是" ask and say neither. */
const WORDS =
  /是否|是不是|对不对|(不是|不对|不正确|没有|错误|否|错|(?<![\p{L}\p{N}])(?:no|nope|false|incorrect)(?![\p{L}\p{N}]))|(正确|是|对|(?<![\p{L}\p{N}])(?:yes|yeah|yep|true|correct)(?![\p{L}\p{N}]))/giu;

/**
 * 1 when answer and solution both say yes, or both no, else 0: the first yes, no, true, false, correct, incorrect, 是, 否,
 * 对, 错 … counts. Null where the solution says neither.
 */
export function yesNo(): RewardFunction {
  return named("yes_no", (completion, row) => {
    const wanted = parseYesNo(expectedAnswer(row.solution));
    return wanted === undefined ? null : Number(parseYesNo(studentAnswer(completion)) === wanted);
  });
}

/** What a text says first; whole words only, so that "know" is no "no". */
export function parseYesNo(text: string): boolean | undefined {
  for (const [, no, yes] of halfWidth(text).matchAll(WORDS)) {
    if (no !== undefined) return false;
    if (yes !== undefined) return true;
  }
  return undefined;
}
