import { expectedAnswer, nameOf } from "../../rewards/answer.js";
import type { RecordedAnswer } from "../record.js";
import { type ConfidenceInterval, mean, wilsonInterval } from "./statistics.js";

/** How the answers to one class of questions fared. */
export interface ClassScores {
  name: string;
  rows: number;
  answers: number;
  /**
   * Shares of the answers, 0 … 1, with Wilson's interval of 95 %. Its count is the rows: several answers to one row are
   * not independent.
   */
  rightName: ConfidenceInterval;
  rightNumber: ConfidenceInterval;
  /** Mean over the answers that a reward applies to; null where there are none. */
  reward: number | null;
}

export type ClassOf = (answer: RecordedAnswer) => string;

/** The default class: the expected name, which is the expected answer without its numbers. */
export const expectedName: ClassOf = ({ solution }) => nameOf(expectedAnswer(solution));

/**
 * Scores of each class of rows, the most frequent classes first, of equally frequent ones those with the fewest right
 * names. `classOf` must say the same of all answers to a row.
 */
export function byClass(answers: readonly RecordedAnswer[], classOf: ClassOf = expectedName): ClassScores[] {
  const classes = [...groupBy(answers, classOf)].map(([name, own]) => scoresOfClass(name, own));
  return classes.sort(
    (a, b) => b.rows - a.rows || a.rightName.value - b.rightName.value || compareText(a.name, b.name),
  );
}

function scoresOfClass(name: string, answers: readonly RecordedAnswer[]): ClassScores {
  const rows = new Set(answers.map(({ id }) => id)).size;
  const share = (right: (answer: RecordedAnswer) => boolean) =>
    wilsonInterval(answers.filter(right).length / answers.length, rows);
  const rewards = answers.flatMap(({ reward }) => (reward === null ? [] : [reward]));
  return {
    name,
    rows,
    answers: answers.length,
    rightName: share(({ name_right: right }) => right),
    rightNumber: share(({ number_right: right }) => right),
    reward: rewards.length === 0 ? null : mean(rewards),
  };
}

/** Groups in the order of their first items. */
export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

/** By code units: the same order on every machine, whatever its language. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
