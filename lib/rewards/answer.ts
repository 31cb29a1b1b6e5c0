import { lastAnswer } from "../data/text/answer.js";

export { expectedAnswer, firstAnswer, lastAnswer, nameOf, oneSpaced, sameName } from "../data/text/answer.js";

const THOUGHT = "</think>";

/**
 * What a completion answers: its last `<answer>`; where it has none the text after its last `</think>`, or all of it.
 * Stripped.
 */
export function studentAnswer(completion: string): string {
  const answer = lastAnswer(completion);
  if (answer !== undefined) return answer;
  const thought = completion.lastIndexOf(THOUGHT);
  return (thought < 0 ? completion : completion.slice(thought + THOUGHT.length)).trim();
}
