import type { CheckedRow } from "../data/convert/index.js";
import { rewardImages } from "../rewards/images.js";
import { loadReward } from "../rewards/index.js";
import { nameRewards } from "../rewards/named.js";
import { Scorer } from "../rewards/score.js";

/** What a reward makes of the rows' own answers. */
export interface RewardCheck {
  name: string;
  /** Rows that it gives a number for. */
  applies: number;
  /** Of these; null where there is none. A right answer that gets little shows a reward that does not fit the data. */
  mean: number | null;
  least: number | null;
  /** Calls that threw. */
  failures: { row: string; message: string }[];
}

/** Milliseconds. */
const TIME_LIMIT = 30_000;

/** Scores every row's own answer as a completion. Throws `ERR_DATA` where rows name rewards that are not among them. */
export async function checkRewards(
  rows: readonly CheckedRow[],
  specs: readonly string[],
  { maxCompletionLength }: { maxCompletionLength: number },
  signal: AbortSignal,
): Promise<RewardCheck[]> {
  const scorer = new Scorer(nameRewards(await Promise.all(specs.map((spec) => loadReward(spec)))));
  const usable = rows.filter(({ error, row }) => error === undefined && row.solution !== "");
  scorer.checkRows(usable.map(({ row }) => row));
  const items = usable.map(({ row, pictures, tokens }) => ({
    row,
    completion: row.solution,
    tokens: { length: tokens?.answer ?? 0 },
    finishReason: "stop" as const,
    images: rewardImages(
      row,
      pictures.map(({ width, height, resizedWidth = width, resizedHeight = height }) => ({
        width,
        height,
        resizedWidth,
        resizedHeight,
      })),
    ),
  }));
  const scores = await scorer.score(items, {
    step: 0,
    evaluation: true,
    maxCompletionLength,
    timeLimit: TIME_LIMIT,
    signal,
  });
  return scorer.rewards.map(({ name }, index) => {
    const values = scores.values.map((row) => row[index] ?? null).filter((value) => value !== null);
    const failures = scores.failures
      .filter(({ reward }) => reward === name)
      .map(({ row, message }) => ({ row, message }));
    const sum = values.reduce((a, b) => a + b, 0);
    const least = values.length === 0 ? null : values.reduce((a, b) => Math.min(a, b));
    return { name, applies: values.length, mean: values.length === 0 ? null : sum / values.length, least, failures };
  });
}
