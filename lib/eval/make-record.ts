import { questionOf } from "../data/text/question.js";
import type { EvaluatedAnswer, Evaluation } from "./evaluate.js";
import type { EvaluationRecord, RecordedAnswer } from "./record.js";

/** What an evaluation leaves in a run's `before.json` and `after.json`; `readRecord` reads it. */
export function recordOf({ metrics, answers }: Pick<Evaluation, "metrics" | "answers">): EvaluationRecord {
  return { version: 2, metrics: finiteMetrics(metrics), answers: answers.map(recordedAnswer) };
}

/** JSON knows no NaN: what has no value is null. */
export function finiteMetrics(metrics: Readonly<Record<string, number>>): EvaluationRecord["metrics"] {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, Number.isFinite(value) ? value : null]),
  );
}

/** One answer as files hold it. */
export function recordedAnswer({
  row,
  sample,
  completion,
  rewards,
  reward,
  nameRight,
  numberRight,
  formatRight,
  tokens,
  finishReason,
}: EvaluatedAnswer): RecordedAnswer {
  return {
    id: row.id,
    sample,
    images: row.images,
    question: questionOf(row),
    solution: row.solution,
    completion,
    rewards,
    reward,
    name_right: nameRight,
    number_right: numberRight,
    format_right: formatRight,
    tokens,
    finish_reason: finishReason,
  };
}
