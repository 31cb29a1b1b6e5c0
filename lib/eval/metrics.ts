import type { RecordedAnswer } from "./record.js";

/** Means over all answers to the rows that could be used. */
export interface HeldOutScores {
  reward: number;
  nameAccuracy: number;
  numberAccuracy: number;
  formatRate: number;
}

export function scoresOf(answers: readonly RecordedAnswer[]): HeldOutScores {
  const share = (right: (answer: RecordedAnswer) => boolean) => answers.filter(right).length / answers.length;
  return {
    reward: average(answers.map(({ reward }) => reward)),
    nameAccuracy: share(({ name_right: right }) => right),
    numberAccuracy: share(({ number_right: right }) => right),
    formatRate: share(({ format_right: right }) => right),
  };
}

/** The metrics that an evaluation with these rewards and so many answers per row has. */
export function evaluationMetricNames(rewards: readonly string[], numGenerations: number): string[] {
  return Object.keys(metricsOf([], rewards, numGenerations));
}

/** Under TRL's names, where it has them; of no answers all are NaN. */
export function metricsOf(
  answers: readonly RecordedAnswer[],
  rewards: readonly string[],
  numGenerations: number,
): Record<string, number> {
  const { reward, nameAccuracy, numberAccuracy, formatRate } = scoresOf(answers);
  const lengths = (of: readonly RecordedAnswer[]) => of.map(({ tokens }) => tokens);
  const ended = answers.filter(({ finish_reason: reason }) => reason === "stop");
  const metrics: Record<string, number> = {
    eval_reward: reward,
    eval_name_accuracy: nameAccuracy,
    eval_number_accuracy: numberAccuracy,
    eval_format_rate: formatRate,
    ...(numGenerations > 1 && severalAnswers(answers)),
    ...lengthMetrics("", lengths(answers)),
    ...lengthMetrics("terminated_", lengths(ended)),
    "eval_completions/clipped_ratio": average(answers.map(({ finish_reason: reason }) => Number(reason === "length"))),
  };
  for (const name of rewards) {
    const values = answers.map((answer) => answer.rewards[name] ?? null);
    metrics[`eval_rewards/${name}/mean`] = average(values);
    metrics[`eval_rewards/${name}/std`] = deviation(values);
  }
  return metrics;
}

/** What several answers to a row tell: how good the best of them is, how they differ, and whether they do at all. */
function severalAnswers(answers: readonly RecordedAnswer[]): Record<string, number> {
  const byRow = new Map<string, number[]>();
  for (const { id, reward } of answers) {
    const rewards = byRow.get(id) ?? [];
    if (reward !== null) rewards.push(reward);
    byRow.set(id, rewards);
  }
  const groups = [...byRow.values()].filter((rewards) => rewards.length > 0);
  // One answer alone does not differ from any.
  const deviations = groups.filter((rewards) => rewards.length > 1).map(deviation);
  return {
    eval_reward_std: average(deviations),
    eval_reward_best: average(groups.map((rewards) => Math.max(...rewards))),
    eval_frac_reward_zero_std: average(deviations.map((value) => Number(value === 0))),
  };
}

function lengthMetrics(kind: "" | "terminated_", lengths: readonly number[]): Record<string, number> {
  // A data set may have more rows than a call has arguments.
  const extreme = (better: (a: number, b: number) => number) =>
    lengths.length === 0 ? Number.NaN : lengths.reduce((a, b) => better(a, b));
  return {
    [`eval_completions/mean_${kind}length`]: average(lengths),
    [`eval_completions/min_${kind}length`]: extreme(Math.min),
    [`eval_completions/max_${kind}length`]: extreme(Math.max),
  };
}

/** Of the values that are there; NaN when there are none. */
function average(values: readonly (number | null)[]): number {
  const present = values.filter((value) => value !== null);
  return present.reduce((sum, value) => sum + value, 0) / present.length;
}

/** The sample's standard deviation (n − 1), as torch's; NaN of fewer than two values. */
function deviation(values: readonly (number | null)[]): number {
  const present = values.filter((value) => value !== null);
  // Of none the formula would say −0 / −1.
  if (present.length < 2) return Number.NaN;
  const mean = average(present);
  return Math.sqrt(present.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (present.length - 1));
}
