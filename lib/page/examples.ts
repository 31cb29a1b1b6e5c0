import { spread } from "../eval/before-after.js";
import type { EvaluationRecord, RecordedAnswer } from "../eval/index.js";
import type { Example } from "./page-data.js";

/** What a run's evaluations have written; of an unfinished run there is the first one alone. */
export interface Records {
  before?: EvaluationRecord | undefined;
  after?: EvaluationRecord | undefined;
}

/** A held-out question's first answers, the earlier one first. */
export interface Answered {
  id: string;
  answers: { label: string; answer: RecordedAnswer }[];
}

/** The questions that all evaluations there are have answered, in their order. */
export function answeredQuestions({ before, after }: Records): Answered[] {
  const given = Object.entries({ before, after }).flatMap(([label, record]) =>
    record === undefined ? [] : [{ label, answers: firstAnswers(record) }],
  );
  const [first, ...others] = given;
  if (first === undefined) return [];
  return [...first.answers.keys()].flatMap((id) => {
    if (!others.every(({ answers }) => answers.has(id))) return [];
    return [{ id, answers: given.map(({ label, answers }) => ({ label, answer: answers.get(id) as RecordedAnswer })) }];
  });
}

function firstAnswers({ answers }: EvaluationRecord): Map<string, RecordedAnswer> {
  return new Map(answers.filter(({ sample }) => sample === 0).map((answer) => [answer.id, answer]));
}

/** A fair sample, neither the best nor the worst. */
export function pickGallery(questions: readonly Answered[], count: number): Answered[] {
  return spread(count, questions.length).map((index) => questions[index] as Answered);
}

/** Those whose mean reward fell most, the deepest fall first. */
export function pickRegressions(
  questions: readonly Answered[],
  worsened: readonly { id: string }[],
  count: number,
): Answered[] {
  const byId = new Map(questions.map((question) => [question.id, question]));
  return worsened.slice(0, count).flatMap(({ id }) => byId.get(id) ?? []);
}

/** @param show Of pictures' paths and of texts, what the page gets. */
export function toExample(
  { id, answers }: Answered,
  show: { pictures(paths: readonly string[]): string[]; text(text: string): string },
): Example {
  // Question and picture are the row's, the same in both evaluations.
  const row = answers.at(-1)?.answer as RecordedAnswer;
  return {
    id: show.text(id),
    pictures: show.pictures(row.images),
    question: show.text(row.question),
    solution: show.text(row.solution),
    answers: answers.map(({ label, answer }) => ({
      label,
      text: show.text(answer.completion),
      reward: answer.reward,
      rewards: answer.rewards,
      right: { name: answer.name_right, number: answer.number_right, format: answer.format_right },
    })),
  };
}
