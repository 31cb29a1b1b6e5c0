import type { Row } from "../data/datasets/index.js";
import { type EncodedRow, encodeRows, holdManyPictures, type RowFailure } from "../data/encode-rows.js";
import { neighbours } from "../data/neighbours.js";
import type { GenerateOptions, Model, NativeCompletion } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { Processor } from "../processing/index.js";
import { span } from "../report/spans.js";
import { expectedAnswer, firstAnswer, sameName } from "../rewards/answer.js";
import { formatReward } from "../rewards/format.js";
import { rewardImages } from "../rewards/images.js";
import { sameNumbers } from "../rewards/numbers.js";
import type { RewardFailure, Scorer } from "../rewards/score.js";
import { weightedSum } from "../rewards/weighted-sum.js";
import { groupBy } from "./analysis/by-class.js";
import { recordedAnswer } from "./make-record.js";
import { type HeldOutScores, metricsOf, scoresOf } from "./metrics.js";

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
  /** Answers that grow at once: the next ones join as others end. */
  batchSize: number;
  /** Of sampling; 0, or not given: greedy. */
  temperature?: number;
  /** Answers per row; 1 unless given. More than one needs a temperature. */
  numGenerations?: number;
  /** Of sampling; an answer depends on it, on the row's place in the data and on the answer's number. */
  seed?: number;
  /** The training step after which this is. */
  step: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((fraction: number) => void) | undefined;
  /** Answers that are there already, by the rows' ids: these rows are not asked again. See `knownAnswers`. */
  known?: ReadonlyMap<string, readonly EvaluatedAnswer[]> | undefined;
  /** Gets new answers as they are there, in the order of the rows; the next ones wait for it. */
  onAnswers?: ((answers: readonly EvaluatedAnswer[]) => void | Promise<void>) | undefined;
}

/** An answer to a row and how it fared. */
export interface EvaluatedAnswer {
  row: Row;
  /** Which of the row's answers, from 0. */
  sample: number;
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

export interface Evaluation {
  scores: HeldOutScores;
  /** The scores and more under TRL's names, `eval_` in front. */
  metrics: Record<string, number>;
  /** Row by row; a row's answers follow one another. */
  answers: EvaluatedAnswer[];
  failures: { rows: RowFailure[]; rewards: RewardFailure[] };
}

/** Rows that the engine gets at once, so that it has others to go on with when some are answered. */
export function rowsPerCall(batchSize: number): number {
  return 4 * batchSize;
}

/** A row that can be used, and its place in the data, which names its random stream. */
interface PlacedRow extends EncodedRow {
  place: number;
}

/**
 * Answers every row, greedily or with samples, and scores the answers: rewards, and whether name (the answer without its
 * numbers), numbers and format are right. The same weights give the same scores, whatever the batch size.
 */
export async function evaluate(parts: EvaluateParts, options: EvaluateOptions): Promise<Evaluation> {
  const news: EvaluatedAnswer[] = [];
  const failures: Evaluation["failures"] = { rows: [], rewards: [] };
  const { rows } = parts;
  let waiting: PlacedRow[] = [];
  for (let start = 0; start < rows.length; start += options.batchSize) {
    const batch = rows.slice(start, start + options.batchSize);
    waiting.push(...(await encode(parts, { rows: batch, start }, options, failures.rows)));
    const end = start + batch.length;
    const full = waiting.length + options.batchSize > rowsPerCall(options.batchSize);
    if (!full && end < rows.length && !holdManyPictures(waiting)) continue;
    const onProgress = (left: number) => options.onProgress?.((end - left) / rows.length);
    if (waiting.length > 0) {
      const batchAnswers = await answer(parts, waiting, { ...options, onProgress }, failures.rewards);
      for (const one of batchAnswers) news.push(one);
      await options.onAnswers?.(batchAnswers);
    }
    onProgress(0);
    waiting = [];
  }
  const answers = inOrder(rows, news, options.known);
  if (answers.length === 0) {
    throw new VlmR1Error("ERR_DATA", `none of the ${parts.rows.length} held-out rows could be used`, {
      hint: failures.rows[0]?.message,
    });
  }
  const names = parts.scorer.rewards.map(({ name }) => name);
  const recorded = answers.map(recordedAnswer);
  return {
    scores: scoresOf(recorded),
    metrics: metricsOf(recorded, names, options.numGenerations ?? 1),
    answers,
    failures,
  };
}

/** New answers and known ones, row by row. */
function inOrder(rows: readonly Row[], news: EvaluatedAnswer[], known: EvaluateOptions["known"]): EvaluatedAnswer[] {
  if (known === undefined) return news;
  const newOf = groupBy(news, ({ row }) => row);
  return rows.flatMap((row) => known.get(row.id) ?? newOf.get(row) ?? []);
}

async function encode(
  { model, processor }: EvaluateParts,
  { rows, start }: { rows: readonly Row[]; start: number },
  { promptSuffix, maxCompletionLength, signal, known }: EvaluateOptions,
  failures: RowFailure[],
): Promise<PlacedRow[]> {
  const maxPromptTokens = model.info().maxPositionEmbeddings - maxCompletionLength;
  const placed = rows.map((row, index) => ({ row, place: start + index })).filter(({ row }) => !known?.has(row.id));
  const asked = placed.map(({ row }) => row);
  const result = await span("rows", () => encodeRows(processor, asked, { promptSuffix, maxPromptTokens, signal }));
  failures.push(...result.failures);
  return result.encoded.flatMap((row, index) =>
    row === undefined ? [] : [{ ...row, place: placed[index]?.place as number }],
  );
}

interface AnswerOptions extends Omit<EvaluateOptions, "onProgress"> {
  /** Gets the number of rows without an answer. */
  onProgress: (left: number) => void;
}

async function answer(
  parts: EvaluateParts,
  batch: readonly PlacedRow[],
  options: AnswerOptions,
  failures: RewardFailure[],
): Promise<EvaluatedAnswer[]> {
  const { processor, scorer } = parts;
  const { maxCompletionLength, signal, step, rewardTimeLimit, rewardWeights } = options;
  const generated = await span("answers", () => generate(parts, batch, options));
  const items = batch.flatMap(({ row, prompt }, index) =>
    (generated[index] as NativeCompletion[]).map((own, sample) => {
      const completion = processor.tokenizer.decode(own.tokens, { skipSpecialTokens: true });
      return { row, own, ...own, sample, completion, images: rewardImages(row, prompt.pictures) };
    }),
  );
  const { rewardConcurrency: concurrency, rewardRetries: retries } = options;
  const limits = { timeLimit: rewardTimeLimit, concurrency, retries };
  const scoring = { step, evaluation: true, maxCompletionLength, ...limits, signal };
  const scores = await span("rewards", () => scorer.score(items, scoring));
  failures.push(...scores.failures);
  return items.map(({ row, own, sample, completion }, index) => {
    const values = scores.values[index] ?? [];
    return {
      row,
      sample,
      completion,
      rewards: Object.fromEntries(scorer.rewards.map(({ name }, i) => [name, values[i] ?? null])),
      reward: numberOrNull(weightedSum(values, rewardWeights)),
      ...judge(completion, row.solution),
      tokens: own.tokens.length,
      finishReason: own.finishReason,
    };
  });
}

/** Answers per row. Greedy ones need no random stream; else rows go to the engine in runs of neighbouring places. */
async function generate(
  { model, processor }: EvaluateParts,
  batch: readonly PlacedRow[],
  {
    temperature = 0,
    numGenerations: n = 1,
    seed = 0,
    maxCompletionLength,
    batchSize,
    signal,
    onProgress,
  }: AnswerOptions,
): Promise<NativeCompletion[][]> {
  const sampling = { temperature, maxNewTokens: maxCompletionLength, stopTokens: processor.generation.stopTokens };
  const answers: NativeCompletion[][] = [];
  for (const run of temperature === 0 ? [batch] : neighbours(batch, ({ place }) => place)) {
    const done = answers.length;
    const request: GenerateOptions = {
      prompts: run.map(({ prompt }) => prompt),
      n,
      seed,
      firstRow: run[0]?.place ?? 0,
      maxRows: batchSize,
      onProgress: ({ finished }) => onProgress(batch.length - done - Math.floor(finished / n)),
      sampling,
      signal,
    };
    answers.push(...(await model.generate(request)));
  }
  return answers;
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

function numberOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
