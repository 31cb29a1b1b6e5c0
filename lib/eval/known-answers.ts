import type { Row } from "../data/datasets/index.js";
import { questionOf } from "../data/text/question.js";
import { VlmR1Error } from "../errors/index.js";
import { groupBy } from "./analysis/by-class.js";
import type { EvaluatedAnswer } from "./evaluate.js";
import type { RecordedAnswer } from "./record.js";

export interface KnownAnswersOptions {
  /** Names of the rewards that judge. */
  rewards: readonly string[];
  /** Answers per row. */
  numGenerations: number;
}

/**
 * The answers that an evaluation which was interrupted gave already, by the rows' ids, for `evaluate` to go on with. A row
 * that has too few of them is left out: it is answered again. Throws `ERR_DATA` where they are of another evaluation:
 * other rows, questions, solutions, rewards, or more answers per row. Of which model they are is for the caller to know.
 */
export function knownAnswers(
  recorded: readonly RecordedAnswer[],
  rows: readonly Row[],
  { rewards, numGenerations }: KnownAnswersOptions,
): Map<string, EvaluatedAnswer[]> {
  const rowOf = new Map(rows.map((row) => [row.id, row]));
  const known = new Map<string, EvaluatedAnswer[]>();
  for (const [id, own] of groupBy(recorded, (answer) => answer.id)) {
    const row = rowOf.get(id);
    if (row === undefined) throw other(`row ${id} is not in the data set`);
    for (const answer of own) checkSame(answer, row, rewards);
    if (own.length > numGenerations) throw other(`row ${id} has ${own.length} answers, not ${numGenerations}`);
    if (own.length === numGenerations)
      known.set(
        id,
        own.map((answer) => evaluatedAnswer(answer, row)),
      );
  }
  return known;
}

function checkSame(
  { id, solution, question, rewards: judged }: RecordedAnswer,
  row: Row,
  rewards: readonly string[],
): void {
  if (solution !== row.solution) throw other(`row ${id} expects another answer in the data set`);
  if (question !== questionOf(row)) throw other(`row ${id} asks another question in the data set`);
  const names = Object.keys(judged);
  if (names.length !== rewards.length || !names.every((name) => rewards.includes(name))) {
    throw other(`row ${id} was judged by ${names.join(", ")}, not by ${rewards.join(", ")}`);
  }
}

function other(message: string): VlmR1Error {
  return new VlmR1Error("ERR_DATA", `the answers are of another evaluation: ${message}`, {
    hint: "Go on with the data, rewards and options that it began with, or write to another file.",
  });
}

function evaluatedAnswer(answer: RecordedAnswer, row: Row): EvaluatedAnswer {
  const { sample, completion, rewards, reward, tokens } = answer;
  return {
    row,
    sample,
    completion,
    rewards,
    reward,
    nameRight: answer.name_right,
    numberRight: answer.number_right,
    formatRight: answer.format_right,
    tokens,
    finishReason: answer.finish_reason,
  };
}
