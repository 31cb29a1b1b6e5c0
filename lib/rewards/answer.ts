import { removeNumbers } from "./numbers.js";

/** The text between the first `<answer>` and the `</answer>` after it, stripped; undefined where there is none. */
export function firstAnswer(text: string): string | undefined {
  return /<answer>([\s\S]*?)<\/answer>/.exec(text)?.[1]?.trim();
}

/** A row's expected answer: inside its `<answer>` where the data wraps it, else the whole text; stripped. */
export function expectedAnswer(solution: string): string {
  return firstAnswer(solution) ?? solution.trim();
}

/** Whether both name the same thing: equal once numbers are removed and runs of white space are one space. */
export function sameName(answer: string, solution: string): boolean {
  return nameOf(answer) === nameOf(solution);
}

function nameOf(text: string): string {
  return removeNumbers(text).replace(/\s+/g, " ").trim();
}
