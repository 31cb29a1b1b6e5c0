import { removeNumbers } from "./numbers.js";

const OPEN = "<answer>";
const CLOSE = "</answer>";

/** The text between the first `<answer>` and the `</answer>` after it, stripped; undefined where there is none. */
export function firstAnswer(text: string): string | undefined {
  return answerFrom(text, 0)?.text;
}

/** The same of the last pair of tags, as VLM-R1 reads a completion: pairs are found one after the other. */
export function lastAnswer(text: string): string | undefined {
  let last: string | undefined;
  for (let found = answerFrom(text, 0); found !== undefined; found = answerFrom(text, found.end)) last = found.text;
  return last;
}

/** A row's expected answer: inside its `<answer>` where the data wraps it, else the whole text; stripped. */
export function expectedAnswer(solution: string): string {
  return firstAnswer(solution) ?? solution.trim();
}

/** Whether both name the same thing: equal once numbers are removed and runs of white space are one space. */
export function sameName(answer: string, solution: string): boolean {
  return nameOf(answer) === nameOf(solution);
}

/** What `sameName` compares: the text without its numbers, white space evened out. */
export function nameOf(text: string): string {
  return oneSpaced(removeNumbers(text));
}

/** Runs of white space as one space, none at the ends. */
export function oneSpaced(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** By position, not by a regular expression: those take quadratic time on a text of many opening tags. */
function answerFrom(text: string, from: number): { text: string; end: number } | undefined {
  const open = text.indexOf(OPEN, from);
  if (open < 0) return undefined;
  const start = open + OPEN.length;
  const close = text.indexOf(CLOSE, start);
  return close < 0 ? undefined : { text: text.slice(start, close).trim(), end: close + CLOSE.length };
}
