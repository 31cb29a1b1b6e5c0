import { describe, expect, test } from "vitest";
import type { GenerateOptions, Model } from "../../../lib/engine/model.js";
import {
  type EvaluatedAnswer,
  type EvaluateOptions,
  evaluate,
  evaluationMetricNames,
  knownAnswers,
  type RecordedAnswer,
  recordedAnswer,
} from "../../../lib/eval/index.js";
import { metricsOf } from "../../../lib/eval/metrics.js";
import type { Processor } from "../../../lib/processing/index.js";
import { nameRewards } from "../../../lib/rewards/named.js";
import { Scorer } from "../../../lib/rewards/score.js";
import { rows } from "../../support/training.js";

/** A model whose answer is a number that its random stream names: (seed + 10 · row + answer) % 7. */
function parts(count: number) {
  const calls: { firstRow: number | undefined; prompts: number; n: number | undefined }[] = [];
  const model = {
    info: () => ({ maxPositionEmbeddings: 100 }),
    generate: async ({ prompts, n = 1, seed = 0, firstRow = 0, sampling, onProgress }: GenerateOptions) => {
      calls.push({ firstRow, prompts: prompts.length, n });
      const total = prompts.length * n;
      for (let finished = 1; finished <= total; finished++) onProgress?.({ tokens: 1, finished, total, news: [] });
      return prompts.map((_, row) =>
        Array.from({ length: n }, (_, answer) => {
          const drawn = (seed + 10 * (firstRow + row) + answer) % 7;
          const tokens = new Int32Array(drawn + 1).fill(sampling?.temperature === 0 ? 0 : drawn);
          return { tokens, finishReason: drawn === 6 ? "length" : "stop" };
        }),
      );
    },
  };
  let next = 0;
  const processor = {
    generation: { stopTokens: [] },
    tokenizer: { decode: ([token]: Int32Array) => String(token) },
    // The third question is too long.
    prompt: async () => ({ tokens: new Int32Array(next++ % count === 2 ? 100 : 3), images: [], pictures: [] }),
  };
  const value = (completion: string) => Number(completion);
  const all = {
    model: model as unknown as Model,
    processor: processor as unknown as Processor,
    rows: rows(count),
    scorer: new Scorer(nameRewards([value])),
  };
  return { all, calls };
}

const options: EvaluateOptions = {
  ...{ rewardTimeLimit: 1000, maxCompletionLength: 9, promptSuffix: "", batchSize: 4, step: 0 },
  ...{ temperature: 1, numGenerations: 3, seed: 5 },
};

/** Answers to rows, by the rewards that they got. */
function answered(rewards: readonly (number | null)[][]): RecordedAnswer[] {
  return rows(rewards.length).flatMap((row, index) =>
    (rewards[index] as (number | null)[]).map((reward, sample) => {
      const right = { nameRight: false, numberRight: false, formatRight: false };
      const told = { row, sample, completion: "", rewards: {}, reward, tokens: 1 + index, finishReason: "stop" };
      return recordedAnswer({ ...told, ...right } as EvaluatedAnswer);
    }),
  );
}

test("a question of which one answer could be judged has no deviation, and spoils that of no other", () => {
  const metrics = metricsOf(
    answered([
      [1, 3],
      [5, null],
      [2, 2],
    ]),
    [],
    2,
  );
  expect(metrics.eval_reward_std).toBeCloseTo(Math.SQRT2 / 2, 12);
  expect(metrics).toMatchObject({ eval_reward_best: (3 + 5 + 2) / 3, eval_frac_reward_zero_std: 0.5 });
});

test("rewards that apply to no answer have neither a mean nor a deviation", () => {
  const metrics = metricsOf(answered([[null], [null]]), ["kcal"], 1);
  expect(metrics).toMatchObject({ "eval_rewards/kcal/mean": Number.NaN, "eval_rewards/kcal/std": Number.NaN });
});

test("there may be more answers than a call may have arguments", () => {
  const metrics = metricsOf(answered(Array.from({ length: 200_000 }, () => [1])), [], 1);
  expect(metrics).toMatchObject({
    "eval_completions/min_length": 1,
    "eval_completions/max_length": 200_000,
    "eval_completions/max_terminated_length": 200_000,
  });
});

describe("several answers per question", () => {
  test("come from streams that are named by the question's place, also behind one that is left out", async () => {
    const { all, calls } = parts(5);
    const { answers } = await evaluate(all, options);
    expect(calls).toEqual([
      { firstRow: 0, prompts: 2, n: 3 },
      { firstRow: 3, prompts: 2, n: 3 },
    ]);
    const drawn = (row: number) => [0, 1, 2].map((answer) => (5 + 10 * row + answer) % 7);
    expect(answers.map(({ row, sample, reward }) => [row.id, sample, reward])).toEqual(
      [0, 1, 3, 4].flatMap((row) => drawn(row).map((value, sample) => [`row-${row}`, sample, value])),
    );
  });

  test("are the same whatever the batch size", async () => {
    const said = async (batchSize: number) => {
      const { answers, metrics } = await evaluate(parts(5).all, { ...options, batchSize });
      return { said: answers.map(({ row, completion }) => [row.id, completion]), metrics };
    };
    expect(await said(1)).toEqual(await said(5));
  });

  test("are the same where an earlier evaluation gave some of them", async () => {
    const whole = await evaluate(parts(5).all, options);
    // All answers to the fourth question, and not all to the second one.
    const told = whole.answers
      .map(recordedAnswer)
      .filter(({ id, sample }) => id === "row-3" || id + sample === "row-10");
    const { all, calls } = parts(5);
    const known = knownAnswers(told, all.rows, { rewards: ["value"], numGenerations: 3 });
    expect([...known.keys()]).toEqual(["row-3"]);
    const news: string[] = [];
    const onAnswers = (answers: readonly EvaluatedAnswer[]) => void news.push(...answers.map(({ row }) => row.id));
    expect(await evaluate(all, { ...options, known, onAnswers })).toEqual(whole);
    expect(calls).toEqual([
      { firstRow: 0, prompts: 2, n: 3 },
      { firstRow: 4, prompts: 1, n: 3 },
    ]);
    expect(news).toEqual(["row-0", "row-1", "row-4"].flatMap((id) => [id, id, id]));
    const fewer = { rewards: ["value"], numGenerations: 1 };
    expect(() => knownAnswers(told, all.rows, fewer)).toThrow("row row-3 has 3 answers, not 1");
  });

  test("have a mean, a best, and a spread by question", async () => {
    const { metrics } = await evaluate(parts(5).all, options);
    // Drawn, by question: 5 6 0, 1 2 3, 0 1 2, 3 4 5; deviations of n − 1.
    const values = [5, 6, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5];
    const mean = values.reduce((sum, value) => sum + value, 0) / 12;
    expect(metrics.eval_reward).toBeCloseTo(mean, 12);
    expect(metrics["eval_rewards/value/mean"]).toBeCloseTo(mean, 12);
    expect(metrics["eval_rewards/value/std"]).toBeCloseTo(
      Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 11),
      12,
    );
    expect(metrics.eval_reward_best).toBeCloseTo((6 + 3 + 2 + 5) / 4, 12);
    expect(metrics.eval_reward_std).toBeCloseTo((Math.sqrt(31 / 3) + 1 + 1 + 1) / 4, 12);
    expect(metrics.eval_frac_reward_zero_std).toBe(0);
    // A token more than the number drawn; the 6 was cut off.
    expect(metrics["eval_completions/mean_length"]).toBeCloseTo(mean + 1, 12);
    expect(metrics["eval_completions/max_length"]).toBe(7);
    expect(metrics["eval_completions/max_terminated_length"]).toBe(6);
    expect(metrics["eval_completions/min_length"]).toBe(1);
    expect(metrics["eval_completions/clipped_ratio"]).toBeCloseTo(1 / 12, 12);
  });

  test("have the metrics that are promised before any is made", async () => {
    for (const numGenerations of [1, 3]) {
      const { metrics } = await evaluate(parts(5).all, { ...options, numGenerations });
      expect(Object.keys(metrics)).toEqual(evaluationMetricNames(["value"], numGenerations));
      expect("eval_reward_best" in metrics).toBe(numGenerations === 3);
    }
  });
});

test("greedy answers go to the engine together, also around one that is left out", async () => {
  const { all, calls } = parts(5);
  await evaluate(all, { ...options, temperature: 0, numGenerations: 1 });
  expect(calls).toEqual([{ firstRow: 0, prompts: 4, n: 1 }]);
});
