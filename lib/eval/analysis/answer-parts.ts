import { expectedAnswer, firstAnswer, nameOf } from "../../rewards/answer.js";
import { parseNumbers } from "../../rewards/numbers.js";
import type { RecordedAnswer } from "../record.js";

/** What an answer was to say and what it says, taken apart as the scores "right name" and "right number" do. */
export interface AnswerParts {
  /** The expected answer without its numbers. */
  expectedName: string;
  /** Null: the completion has no `<answer>`. */
  answeredName: string | null;
  expectedNumbers: number[];
  /** None where there is no answer. */
  answeredNumbers: number[];
}

export function answerParts({ solution, completion }: Pick<RecordedAnswer, "solution" | "completion">): AnswerParts {
  const expected = expectedAnswer(solution);
  const answered = firstAnswer(completion);
  return {
    expectedName: nameOf(expected),
    answeredName: answered === undefined ? null : nameOf(answered),
    expectedNumbers: parseNumbers(expected),
    answeredNumbers: answered === undefined ? [] : parseNumbers(answered),
  };
}
