// The losses of training beside those of `computeLoss`, and what the native verb refuses.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine, type GrpoLossKind, loadAddon, type Model, type NativeGroup } from "../../lib/engine/index.js";
import { computeLoss } from "../../lib/losses/index.js";
import { goldenPath } from "../support/golden.js";
import { lossArgs } from "../support/loss.js";

const GROUPS: NativeGroup[] = [
  { prompt: { tokens: Int32Array.of(1, 2, 3), images: [] }, completions: [Int32Array.of(5, 6, 9), Int32Array.of(7)] },
  { prompt: { tokens: Int32Array.of(4, 4), images: [] }, completions: [Int32Array.of(8, 3), Int32Array.of(2, 2, 2)] },
];
const ADVANTAGES = [0.75, -0.5, 1.25, -2];
const TOKENS = 9;

let engine: Engine;
let model: Model;

beforeAll(async () => {
  engine = await Engine.open({ device: "cpu", threads: 2 });
  model = await engine.loadModel(goldenPath("qwen2_5_vl_a"), { train: "full" });
});
afterAll(() => engine.dispose());

/** Deterministic numbers around 0. */
const wave = (amplitude: number) => (_: number, i: number) => amplitude * Math.sin(3.7 * i + 1);

describe("training's loss is that of computeLoss", () => {
  it.each<GrpoLossKind>(["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"])("%s", async (kind) => {
    const scores = await model.logProbs({ groups: GROUPS });
    const perToken = (value: (log: number, i: number) => number) =>
      scores.map((group) => group.map(({ logProbs }) => logProbs.map((log, i) => Math.fround(log + value(log, i)))));
    const oldLogProbs = perToken(wave(0.4));
    const refLogProbs = perToken(wave(-0.6));
    const tokenMask = [
      [Uint8Array.of(1, 0, 1), Uint8Array.of(1)],
      [Uint8Array.of(0, 1), Uint8Array.of(1, 1, 1)],
    ];
    const loss = lossArgs({
      ...{ kind, beta: 0.04, entropyCoef: 0.02, epsilonHigh: kind === "cispo" ? 1.2 : 0.2 },
      advantages: [Float32Array.from(ADVANTAGES.slice(0, 2)), Float32Array.from(ADVANTAGES.slice(2))],
      ...{ oldLogProbs, refLogProbs, tokenMask, totalSequences: 4, totalTokens: 8.5, totalEntropyTokens: 7 },
      maxCompletionLength: 3,
    });
    const trained = await model.accumulate({ groups: GROUPS, loss });
    const entropies = scores.map((group) => group.map(({ entropy }) => entropy));
    const direct = loadAddon().computeLoss({ logProbs: trained.logProbs, entropies, loss });
    const { gradient, entropyGradient, ...sums } = direct;
    const { logProbs: _, ...same } = trained;
    expect(sums).toEqual(same);
    expect(sums.tokens).toBe(TOKENS);
    expect(sums.loss).not.toBe(sums.policyLoss);
    expect(entropyGradient[0]?.[0]?.[1]).toBe(0);
    // The public function has no mask but its own, and denominators in other words.
    const flat = (rows: Float32Array[][]) => rows.flat();
    const options = { beta: 0.04, epsilonHigh: loss.epsilonHigh, maxCompletionLength: 3, numItemsInBatch: 8.5 };
    const alone = { logProbs: flat(trained.logProbs), oldLogProbs: flat(oldLogProbs), refLogProbs: flat(refLogProbs) };
    const publicly = computeLoss({ ...alone, ...options, advantages: ADVANTAGES, lossType: kind });
    const unmasked = { ...loss, entropyCoef: 0, tokenMask: [], totalTokens: kind === "bnpo" ? TOKENS : 8.5 };
    const expected = loadAddon().computeLoss({ logProbs: trained.logProbs, entropies: [], loss: unmasked });
    expect(publicly.loss).toBe(expected.loss);
    expect(publicly.gradient).toEqual(flat(expected.gradient));
    expect(publicly.gradient).not.toEqual(flat(gradient));
  });
});

describe("the native verb refuses", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what these tests hand over is wrong on purpose
  type Wrong = any;
  const logProbs = [[Float32Array.of(-1, -2), Float32Array.of(-3)]];
  const LOSS = lossArgs({ advantages: [Float32Array.of(1, -1)] });
  it.each<[string, Wrong, string, string]>([
    ["nothing", undefined, "ERR_ARGUMENT", "computeLoss: expected an object, got undefined"],
    ["plain numbers", { logProbs: [[[-1]]] }, "ERR_ARGUMENT", "logProbs[0][0]: expected a Float32Array"],
    [
      "an entropy too few",
      { entropies: [[Float32Array.of(1), Float32Array.of(2)]] },
      "ERR_SHAPE",
      "entropies[0][0]: expected 2 (one per token), got 1",
    ],
    ["a bonus of nothing", { loss: { ...LOSS, entropyCoef: 0.1 } }, "ERR_SHAPE", "entropies: entropy_coef is 0.1"],
    [
      "a token mask of another shape",
      { loss: { ...LOSS, tokenMask: [[Uint8Array.of(1, 1)]] } },
      "ERR_SHAPE",
      "loss.tokenMask[0]: expected 2 (one per completion), got 1",
    ],
    ["a token mask of floats", { loss: { ...LOSS, tokenMask: logProbs } }, "ERR_ARGUMENT", "expected a Uint8Array"],
    ["another level", { loss: { ...LOSS, importanceSampling: "word" } }, "ERR_ARGUMENT", 'one of "token", "sequence"'],
    ["no denominator", { loss: { ...LOSS, totalTokens: 0 } }, "ERR_ARGUMENT", "total_tokens: expected a value above 0"],
    [
      "a missing field",
      { loss: { ...LOSS, vespoKPos: undefined } },
      "ERR_ARGUMENT",
      "loss.vespoKPos: expected a number",
    ],
  ])("%s", (_, wrong, code, message) => {
    const args = wrong === undefined ? undefined : { logProbs, entropies: [], loss: LOSS, ...wrong };
    expect(() => loadAddon().computeLoss(args)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  it("takes the loss of supervised training too", () => {
    const { loss, gradient, clip } = loadAddon().computeLoss({
      ...{ logProbs, entropies: [] },
      loss: { kind: "sft", totalTokens: 3 },
    });
    expect(loss).toBe(2);
    expect(gradient[0]?.map((row) => [...row])).toEqual([[-1 / 3, -1 / 3].map(Math.fround), [Math.fround(-1 / 3)]]);
    expect(clip.count).toBe(0);
  });
});
