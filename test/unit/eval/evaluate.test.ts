import { describe, expect, it } from "vitest";
import type { Model, GenerateOptions as NativeGenerate } from "../../../lib/engine/model.js";
import { type EvaluateOptions, evaluate } from "../../../lib/eval/index.js";
import type { Processor } from "../../../lib/processing/index.js";
import { nameRewards } from "../../../lib/rewards/named.js";
import { Scorer } from "../../../lib/rewards/score.js";
import { rows } from "../../support/training.js";

const LENGTH = 5;

/** A model that says its prompt's number, and tells of every completion that ends. */
function parts(count: number, pictureBytes = 0) {
  const calls: { prompts: number; maxRows: number | undefined }[] = [];
  const model = {
    info: () => ({ maxPositionEmbeddings: 100 }),
    generate: async ({ prompts, maxRows, onProgress, signal }: NativeGenerate) => {
      signal?.throwIfAborted();
      calls.push({ prompts: prompts.length, maxRows });
      const total = prompts.length;
      for (let finished = 1; finished <= total; finished++) onProgress?.({ tokens: 1, finished, total, news: [] });
      return prompts.map(({ tokens }) => [{ tokens: tokens.subarray(0, 1), finishReason: "stop" }]);
    },
  };
  let next = 0;
  const processor = {
    generation: { stopTokens: [] },
    tokenizer: { decode: ([token]: Int32Array) => `answer ${token}` },
    prompt: async () => ({
      // Every seventh question is too long.
      tokens: new Int32Array(next % 7 === 6 ? 100 : 3).fill(next++),
      images: [{ pixelValues: { byteLength: pictureBytes }, grid: [1, 2, 2] }],
      pictures: [],
    }),
  };
  const scorer = new Scorer(nameRewards([() => 1]));
  const all = {
    model: model as unknown as Model,
    processor: processor as unknown as Processor,
    rows: rows(count),
    scorer,
  };
  return { all, calls };
}

const options: EvaluateOptions = {
  rewardTimeLimit: 1000,
  maxCompletionLength: LENGTH,
  promptSuffix: "",
  batchSize: 3,
  step: 0,
};

describe("an evaluation", () => {
  it("hands over several batches, so that the next rows can join as others end", async () => {
    const { all, calls } = parts(30);
    const fractions: number[] = [];
    const { answers, failures } = await evaluate(all, { ...options, onProgress: (f) => void fractions.push(f) });
    // Of 30 rows four are too long. What is left of batches of 3 fills calls of up to 12.
    expect(failures.rows.map(({ row }) => row.id)).toEqual(["row-6", "row-13", "row-20", "row-27"]);
    expect(calls).toEqual([
      { prompts: 11, maxRows: 3 },
      { prompts: 10, maxRows: 3 },
      { prompts: 5, maxRows: 3 },
    ]);
    expect(answers.map(({ row, completion }) => [row.id, completion])).toEqual(
      rows(30).flatMap(({ id }, i) => (i % 7 === 6 ? [] : [[id, `answer ${i}`]])),
    );
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
    expect(fractions.at(-1)).toBe(1);
    // More often than once a batch.
    expect(new Set(fractions).size).toBe(26);
  });

  it("does not let large pictures pile up", async () => {
    const { all, calls } = parts(6, 40 << 20);
    await evaluate(all, options);
    expect(calls.map(({ prompts }) => prompts)).toEqual([3, 3]);
  });

  it("ends between two calls when it is to", async () => {
    const { all, calls } = parts(30);
    const controller = new AbortController();
    const onProgress = (fraction: number) => {
      if (fraction > 0.5) controller.abort();
    };
    const running = evaluate(all, { ...options, signal: controller.signal, onProgress });
    await expect(running).rejects.toMatchObject({ name: "AbortError" });
    expect(calls).toHaveLength(2);
  });
});
