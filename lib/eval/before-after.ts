import { basename, dirname } from "node:path";
import { excerpt, formatChange, formatPercent } from "../report/format.js";
import { expectedAnswer } from "../rewards/answer.js";
import type { HeldOutScores } from "./metrics.js";
import type { EvaluationRecord, RecordedAnswer } from "./record.js";

/** Rows of a table: what is scored, before, after, change. */
export function scoreTable(before: HeldOutScores, after: HeldOutScores): string[][] {
  const fixed = (value: number) => value.toFixed(3);
  const shares = [
    ["right name", before.nameAccuracy, after.nameAccuracy],
    ["right number", before.numberAccuracy, after.numberAccuracy],
    ["right format", before.formatRate, after.formatRate],
  ] as const;
  return [
    ["held-out", "before", "after", "change"],
    ["mean reward", fixed(before.reward), fixed(after.reward), formatChange(after.reward - before.reward, fixed)],
    ...shares.map(([name, from, to]) => [
      name,
      formatPercent(from),
      formatPercent(to),
      formatChange(to - from, formatPercent),
    ]),
  ];
}

export interface Sample {
  picture: string;
  question: string;
  expected: string;
  before: string;
  after: string;
}

/**
 * `count` places in a list of `length`, spread evenly and off its rhythm: held-out rows often come in a pattern of
 * pictures and questions, and equal steps would meet the same few again and again. Ascending.
 */
export function spread(count: number, length: number): number[] {
  const golden = (Math.sqrt(5) - 1) / 2;
  const places = new Set<number>();
  for (let i = 1; places.size < Math.min(count, length); i += 1) places.add(Math.floor(((i * golden) % 1) * length));
  return [...places].sort((a, b) => a - b);
}

/** Questions to show side by side, of each the first answer: a fair sample, neither the best nor the worst. */
export function pickSamples(before: EvaluationRecord, after: EvaluationRecord, count: number): Sample[] {
  const earlier = new Map(firstAnswers(before).map(({ id, completion }) => [id, completion]));
  const both = firstAnswers(after).filter(({ id }) => earlier.has(id));
  return spread(count, both.length).map((index) => {
    const { id, images, question, solution, completion } = both[index] as RecordedAnswer;
    const [picture] = images;
    return {
      picture: picture === undefined ? id : `${basename(dirname(picture))}/${basename(picture)}`,
      question,
      expected: expectedAnswer(solution),
      before: earlier.get(id) ?? "",
      after: completion,
    };
  });
}

function firstAnswers({ answers }: EvaluationRecord): RecordedAnswer[] {
  return answers.filter(({ sample }) => sample === 0);
}

/** A few lines per question. */
export function formatSample({ picture, question, expected, before, after }: Sample): string[] {
  return [
    `${picture}  ${excerpt(question)}`,
    `  expected  ${excerpt(expected)}`,
    `  before    ${excerpt(before)}`,
    `  after     ${excerpt(after)}`,
  ];
}
