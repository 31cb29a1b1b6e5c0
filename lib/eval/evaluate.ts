import type { Row } from "../data/datasets/index.js";
import { type EncodedRow, encodeRows, type RowFailure } from "../data/encode-rows.js";
import type { GenerateOptions, Model, NativeCompletion } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { Processor } from "../processing/index.js";
import { span } from "../report/spans.js";
import { expectedAnswer, firstAnswer, sameName } from "../rewards/answer.js";
import { formatReward } from "../rewards/format.js";
import { rewardImages } from "../rewards/images.js";
import { sameNumbers } from "../rewards/numbers.js";
import type { RewardFailure, Scorer } from "../rewards/score.js";

export interface EvaluateParts {
  model: Model;
  processor: Processor;
  rows: readonly Row[];
  scorer: Scorer;
}

export interface EvaluateOptions {
  /** One per reward; all 1 unless given. */
  rewardWeights?: readonly number[] | undefined;
  /** Milliseconds per call of a reward. */
  rewardTimeLimit: number;
  /** Calls of one reward that may wait for an answer at once; 64 unless given. */
  rewardConcurrency?: number | undefined;
  /** How often a call of a reward that failed is repeated; 0 unless given. */
  rewardRetries?: number | undefined;
  maxCompletionLength: number;
  promptSuffix: string;
  /** Rows that are answered at once: the next ones join as others end. */
  batchSize: number;
  /** The training step after which this is. */
  step: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((fraction: number) => void) | undefined;
}

/** One row's greedy answer and how it fared. */
export interface EvaluatedAnswer {
  row: Row;
  completion: string;
  /** By the reward's name. */
  rewards: Record<string, number | null>;
  /** Weighted sum; null where no reward applies. */
  reward: number | null;
  nameRight: boolean;
  numberRight: boolean;
  formatRight: boolean;
  tokens: number;
  finishReason: "stop" | "length";
}

/** Means over the rows that could be used. */
export interface HeldOutScores {
  reward: number;
  nameAccuracy: number;
  numberAccuracy: number;
  formatRate: number;
}

export interface Evaluation {
  scores: HeldOutScores;
  /** The scores and more under TRL's names, `eval_` in front. */
  metrics: Record<string, number>;
  answers: EvaluatedAnswer[];
  failures: { rows: RowFailure[]; rewards: RewardFailure[] };
}

/** Rows that the engine gets at once, so that it has others to go on with when some are answered. */
export function rowsPerCall(batchSize: number): number {
  return 4 * batchSize;
}

/** Pictures of rows that wait for their turn take no more than this, and what one batch more has. */
const WAITING_PICTURE_BYTES = 64 * 2 ** 20;

/**
 * Answers every row greedily, and scores the answers: rewards, and whether name (the answer without its numbers),
 * numbers and format are right. The same weights give the same scores, whatever the batch size.
 */
export async function evaluate(parts: EvaluateParts, options: EvaluateOptions): Promise<Evaluation> {
  const answers: EvaluatedAnswer[] = [];
  const failures: Evaluation["failures"] = { rows: [], rewards: [] };
  const { rows } = parts;
  let waiting: EncodedRow[] = [];
  for (let start = 0; start < rows.length; start += options.batchSize) {
    const batch = rows.slice(start, start + options.batchSize);
    waiting.push(...(await encode(parts, batch, options, failures.rows)));
    const end = start + batch.length;
    const full = waiting.length + options.batchSize > rowsPerCall(options.batchSize);
    if (!full && end < rows.length && pictureBytes(waiting) < WAITING_PICTURE_BYTES) continue;
    const onProgress = (left: number) => options.onProgress?.((end - left) / rows.length);
    if (waiting.length > 0)
      answers.push(...(await answer(parts, waiting, { ...options, onProgress }, failures.rewards)));
    onProgress(0);
    waiting = [];
  }
  if (answers.length === 0) {
    throw new VlmR1Error("ERR_DATA", `none of the ${parts.rows.length} held-out rows could be used`, {
      hint: failures.rows[0]?.message,
    });
  }
  const names = parts.scorer.rewards.map(({ name }) => name);
  return { scores: scoresOf(answers), metrics: metricsOf(answers, names), answers, failures };
}

async function encode(
  { model, processor }: EvaluateParts,
  rows: readonly Row[],
  { promptSuffix, maxCompletionLength, signal }: EvaluateOptions,
  failures: RowFailure[],
): Promise<EncodedRow[]> {
  const maxPromptTokens = model.info().maxPositionEmbeddings - maxCompletionLength;
  const result = await span("rows", () => encodeRows(processor, rows, { promptSuffix, maxPromptTokens, signal }));
  failures.push(...result.failures);
  return result.encoded.filter((row) => row !== undefined);
}

function pictureBytes(rows: readonly EncodedRow[]): number {
  let bytes = 0;
  for (const { prompt } of rows) for (const { pixelValues } of prompt.images) bytes += pixelValues.byteLength;
  return bytes;
}

interface AnswerOptions extends Omit<EvaluateOptions, "onProgress"> {
  /** Gets the number of rows without an answer. */
  onProgress: (left: number) => void;
}

async function answer(
  { model, processor, scorer }: EvaluateParts,
  batch: readonly EncodedRow[],
  options: AnswerOptions,
  failures: RewardFailure[],
): Promise<EvaluatedAnswer[]> {
  const { maxCompletionLength, batchSize, signal, step, rewardTimeLimit, rewardWeights, onProgress } = options;
  const request: GenerateOptions = {
    prompts: batch.map(({ prompt }) => prompt),
    maxRows: batchSize,
    onProgress: ({ finished, total }) => onProgress(total - finished),
    sampling: { temperature: 0, maxNewTokens: maxCompletionLength, stopTokens: processor.generation.stopTokens },
    signal,
  };
  const generated = await span("answers", () => model.generate(request));
  const items = batch.map(({ row, prompt }, index) => {
    const own = generated[index]?.[0] as NativeCompletion;
    const completion = processor.tokenizer.decode(own.tokens, { skipSpecialTokens: true });
    return { row, own, ...own, completion, images: rewardImages(row, prompt.pictures) };
  });
  const { rewardConcurrency: concurrency, rewardRetries: retries } = options;
  const limits = { timeLimit: rewardTimeLimit, concurrency, retries };
  const scoring = { step, evaluation: true, maxCompletionLength, ...limits, signal };
  const scores = await span("rewards", () => scorer.score(items, scoring));
  failures.push(...scores.failures);
  return items.map(({ row, own, completion }, index) => {
    const values = scores.values[index] ?? [];
    return {
      row,
      completion,
      rewards: Object.fromEntries(scorer.rewards.map(({ name }, i) => [name, values[i] ?? null])),
      reward: weightedSum(values, rewardWeights),
      ...judge(completion, row.solution),
      tokens: own.tokens.length,
      finishReason: own.finishReason,
    };
  });
}

function judge(completion: string, solution: string) {
  const answer = firstAnswer(completion);
  const expected = expectedAnswer(solution);
  return {
    nameRight: answer !== undefined && sameName(answer, expected),
    numberRight: answer !== undefined && sameNumbers(answer, expected),
    formatRight: formatReward(completion) === 1,
  };
}

function weightedSum(values: readonly (number | null)[], weights: readonly number[] | undefined): number | null {
  const present = values.flatMap((value, index) => (value === null ? [] : [value * (weights?.[index] ?? 1)]));
  return present.length === 0 ? null : present.reduce((sum, value) => sum + value, 0);
}

function scoresOf(answers: readonly EvaluatedAnswer[]): HeldOutScores {
  const share = (right: (answer: EvaluatedAnswer) => boolean) => answers.filter(right).length / answers.length;
  return {
    reward: average(answers.map(({ reward }) => reward)),
    nameAccuracy: share(({ nameRight }) => nameRight),
    numberAccuracy: share(({ numberRight }) => numberRight),
    formatRate: share(({ formatRight }) => formatRight),
  };
}

function metricsOf(answers: readonly EvaluatedAnswer[], names: readonly string[]): Record<string, number> {
  const { reward, nameAccuracy, numberAccuracy, formatRate } = scoresOf(answers);
  const metrics: Record<string, number> = {
    eval_reward: reward,
    eval_name_accuracy: nameAccuracy,
    eval_number_accuracy: numberAccuracy,
    eval_format_rate: formatRate,
    "eval_completions/mean_length": average(answers.map(({ tokens }) => tokens)),
    "eval_completions/clipped_ratio": average(answers.map(({ finishReason }) => Number(finishReason === "length"))),
  };
  for (const name of names)
    metrics[`eval_rewards/${name}/mean`] = average(answers.map(({ rewards }) => rewards[name] ?? null));
  return metrics;
}

/** Of the values that are there; NaN when there are none. */
function average(values: readonly (number | null)[]): number {
  const present = values.filter((value) => value !== null);
  return present.reduce((sum, value) => sum + value, 0) / present.length;
}
