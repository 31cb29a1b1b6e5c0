import type { RecordedAnswer } from "../record.js";
import { answerParts } from "./answer-parts.js";
import { compareText, groupBy } from "./by-class.js";

export interface ConfusionCount {
  /** Names are answers without their numbers, as the score "right name" compares them. */
  expected: string;
  /** Null: there was no answer. */
  answered: string | null;
  /** Answers. */
  count: number;
  /** Of all answers to questions that expect this name, 0 … 1. */
  share: number;
}

/** How often each name was answered where each was expected: the most frequent pairs first, right ones included. */
export function confusion(answers: readonly RecordedAnswer[]): ConfusionCount[] {
  const parts = answers.map(answerParts);
  const counts = [...groupBy(parts, ({ expectedName }) => expectedName)].flatMap(([expected, own]) =>
    [...groupBy(own, ({ answeredName }) => answeredName)].map(([answered, same]) => ({
      expected,
      answered,
      count: same.length,
      share: same.length / own.length,
    })),
  );
  return counts.sort(
    (a, b) =>
      b.count - a.count || compareText(a.expected, b.expected) || compareText(a.answered ?? "", b.answered ?? ""),
  );
}

/** Those that are wrong. */
export function confusions(counts: readonly ConfusionCount[]): ConfusionCount[] {
  return counts.filter(({ expected, answered }) => expected !== answered);
}
