import { expectedAnswer, oneSpaced, studentAnswer } from "./answer.js";
import { levenshteinRatio } from "./levenshtein.js";
import { named } from "./named.js";
import type { RewardFunction } from "./types.js";

/**
 * The likeness of answer and solution, from 0 to 1: python-Levenshtein's ratio of both in lower case, white space as
 * single spaces, full stops at the end left out. Null where there is no solution.
 */
export function ratio(): RewardFunction {
  return named("ratio", (completion, row) => {
    const wanted = expectedAnswer(row.solution);
    return wanted === "" ? null : textRatio(studentAnswer(completion), wanted);
  });
}

export function textRatio(answer: string, solution: string): number {
  return levenshteinRatio(cleanText(answer), cleanText(solution));
}

/** As VLM-R1 compares texts. */
export function cleanText(text: string): string {
  const plain = oneSpaced(text);
  let end = plain.length;
  while (end > 0 && plain[end - 1] === ".") end -= 1;
  return plain.slice(0, end).toLowerCase();
}
