import type { Example, ExampleAnswer } from "../../page-data.js";
import { titled } from "./text.js";

export interface Mark {
  name: string;
  right: boolean;
}

/** What is right of an answer and what is not; where nothing says it, whether the answer is the truth's text. */
export function marksOf(answer: ExampleAnswer, solution: string): Mark[] {
  const marks = Object.entries(answer.right ?? {});
  if (marks.length > 0) return marks.map(([name, right]) => ({ name: titled(name), right }));
  return [{ name: "Same text", right: plain(answerPart(answer.text)) === plain(answerPart(solution)) }];
}

/** Whether all of an answer is right. */
export function isRight(answer: ExampleAnswer, solution: string): boolean {
  return marksOf(answer, solution).every(({ right }) => right);
}

export type Change = "better" | "worse" | "same";

/** From the first to the last answer, by reward; where one has none, by what is right. */
export function changeOf({ answers, solution }: Example): Change {
  const [first, last] = [answers[0], answers.at(-1)];
  if (!first || !last || first === last) return "same";
  const score = (answer: ExampleAnswer) =>
    typeof first.reward === "number" && typeof last.reward === "number"
      ? (answer.reward as number)
      : marksOf(answer, solution).filter(({ right }) => right).length;
  const difference = score(last) - score(first);
  return Math.abs(difference) < 1e-9 ? "same" : difference > 0 ? "better" : "worse";
}

/** What an answer says, without the thoughts before it. */
export function answerPart(text: string): string {
  const matches = [...text.matchAll(/<answer>(.*?)<\/answer>/gs)];
  return matches.at(-1)?.[1]?.trim() || text;
}

function plain(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
}
