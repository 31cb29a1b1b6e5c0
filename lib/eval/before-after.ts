import { basename, dirname } from "node:path";
import { expectedAnswer } from "../rewards/answer.js";
import type { EvaluatedAnswer, Evaluation, HeldOutScores } from "./evaluate.js";

/** What an evaluation leaves behind for a later comparison, as JSON. */
export interface EvaluationRecord {
  scores: HeldOutScores;
  /** By the row's id. */
  answers: Record<string, { completion: string; reward: number | null }>;
}

export function recordOf({ scores, answers }: Evaluation): EvaluationRecord {
  return {
    scores,
    answers: Object.fromEntries(answers.map(({ row, completion, reward }) => [row.id, { completion, reward }])),
  };
}

/** Rows of a table: what is scored, before, after, change. */
export function scoreTable(before: HeldOutScores, after: HeldOutScores): string[][] {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const points = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)} %`;
  const signed = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  const shares = [
    ["right name", before.nameAccuracy, after.nameAccuracy],
    ["right number", before.numberAccuracy, after.numberAccuracy],
    ["right format", before.formatRate, after.formatRate],
  ] as const;
  return [
    ["held-out", "before", "after", "change"],
    ["mean reward", before.reward.toFixed(3), after.reward.toFixed(3), signed(after.reward - before.reward)],
    ...shares.map(([name, from, to]) => [name, percent(from), percent(to), points(to - from)]),
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
 * Questions to show side by side, spread evenly over the held-out set: a fair sample, neither the best nor the worst.
 */
export function pickSamples(before: EvaluationRecord, after: Evaluation, count: number): Sample[] {
  const both = after.answers.filter(({ row }) => before.answers[row.id] !== undefined);
  const wanted = Math.min(count, both.length);
  return Array.from({ length: wanted }, (_, index) => {
    const { row, completion } = both[Math.floor(((index + 0.5) * both.length) / wanted)] as EvaluatedAnswer;
    const [picture] = row.images;
    return {
      picture: picture === undefined ? row.id : `${basename(dirname(picture))}/${basename(picture)}`,
      question: questionOf(row),
      expected: expectedAnswer(row.solution),
      before: before.answers[row.id]?.completion ?? "",
      after: completion,
    };
  });
}

function questionOf({ messages }: EvaluatedAnswer["row"]): string {
  const content = messages.at(-1)?.content ?? "";
  if (typeof content === "string") return content;
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

/** A few lines per question. */
export function formatSample({ picture, question, expected, before, after }: Sample): string[] {
  return [
    `${picture}  ${question}`,
    `  expected  ${oneLine(expected)}`,
    `  before    ${oneLine(before)}`,
    `  after     ${oneLine(after)}`,
  ];
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ⏎ ") || "(nothing)";
}
