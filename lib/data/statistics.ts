import type { Row } from "./datasets/index.js";
import { type Histogram, histogram } from "./statistics/histogram.js";
import { expectedAnswer, nameOf } from "./text/answer.js";
import { parseNumbers } from "./text/numbers.js";
import { questionOf } from "./text/question.js";

export { type Histogram, histogram } from "./statistics/histogram.js";

/** What a data set holds. */
export interface DataStatistics {
  rows: number;
  /** Different pictures, by their paths. */
  pictures: number;
  /** Different questions and answers. */
  questions: number;
  answers: number;
  /** The most frequent answers' names, without numbers, with how often they are. */
  commonAnswers: { name: string; count: number }[];
  /** Of the answers' first numbers, where they have some. */
  numbers?: Histogram | undefined;
  /** Characters. */
  questionLength?: Histogram | undefined;
  answerLength?: Histogram | undefined;
}

/** Names that are told. */
const COMMON = 20;

/** Counts what rows hold. Answers are what stands in `<answer>`, where a row has that; rows without one count as none. */
export function dataStatistics(rows: readonly Row[]): DataStatistics {
  const questions = rows.map(questionOf);
  const answers = rows.map(({ solution }) => expectedAnswer(solution)).filter((answer) => answer !== "");
  return {
    rows: rows.length,
    pictures: new Set(rows.flatMap(({ images }) => images)).size,
    questions: new Set(questions).size,
    answers: new Set(answers).size,
    commonAnswers: commonNames(answers),
    numbers: histogram(answers.flatMap((answer) => parseNumbers(answer).slice(0, 1))),
    questionLength: histogram(questions.map(characters)),
    answerLength: histogram(answers.map(characters)),
  };
}

/** The most frequent first, equals by name. */
function commonNames(answers: readonly string[]): DataStatistics["commonAnswers"] {
  const counts = new Map<string, number>();
  for (const answer of answers) {
    const name = nameOf(answer);
    if (name !== "") counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .map(([name, count]) => ({ name, count }))
    .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
    .slice(0, COMMON);
}

/** Of the text as people count it: an emoji or a rare character is one. */
function characters(text: string): number {
  return [...text].length;
}
