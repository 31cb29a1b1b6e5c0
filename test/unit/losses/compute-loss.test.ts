import { describe, expect, it } from "vitest";
import { type ComputeLossOptions, computeLoss } from "../../../lib/losses/index.js";
import { goldenJson } from "../../support/golden.js";

interface Inputs {
  mask: number[][];
  logps: number[][];
  old_logps: number[][] | null;
  ref_logps: number[][];
  entropies: number[][];
  advantages: number[];
}
interface Settings {
  inputs: string;
  loss_type: ComputeLossOptions["lossType"];
  importance_sampling_level: ComputeLossOptions["importanceSamplingLevel"];
  use_bias_correction_kl: boolean;
  delta: number | null;
  off_policy_mask_threshold: number | null;
  num_items_in_batch: number | null;
  [name: string]: unknown;
}
interface Case {
  name: string;
  settings: Partial<Settings>;
  loss: number;
  gradient: number[][];
  entropy_gradient?: number[][];
  metrics: Record<string, number>;
}

const golden = goldenJson<{ base: Settings; inputs: Record<string, Inputs>; cases: Case[] }>("losses.json");

/** TRL's names are this package's in camelCase. */
function optionsOf(changes: Partial<Settings>): ComputeLossOptions {
  const { inputs, ...settings } = { ...golden.base, ...changes };
  const given = golden.inputs[inputs] as Inputs;
  const camel = Object.entries(settings).map(([name, value]) => [
    name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase()),
    value ?? undefined,
  ]);
  return {
    ...Object.fromEntries(camel),
    logProbs: given.logps,
    oldLogProbs: given.old_logps ?? undefined,
    refLogProbs: given.ref_logps,
    advantages: given.advantages,
    mask: given.mask,
    entropies: given.entropies,
  };
}

function worst(got: ArrayLike<number>[], expected: number[][]): number {
  expect(got.map(({ length }) => length)).toEqual(expected.map(({ length }) => length));
  return Math.max(...expected.flatMap((row, c) => row.map((value, i) => Math.abs((got[c]?.[i] as number) - value))));
}

describe("TRL's own losses", () => {
  it("has cases of all of them", () => {
    expect(new Set(golden.cases.map(({ settings }) => settings.loss_type)).size).toBe(8);
    expect(golden.cases.length).toBeGreaterThan(160);
  });

  it.each(golden.cases.map((entry) => [entry.name, entry] as const))("%s", (_, entry) => {
    const result = computeLoss(optionsOf(entry.settings));
    expect(Math.abs(result.loss - entry.loss)).toBeLessThanOrEqual(1e-6);
    expect(worst(result.gradient, entry.gradient)).toBeLessThanOrEqual(1e-6);
    expect(result.entropyGradient === undefined).toBe(entry.entropy_gradient === undefined);
    if (result.entropyGradient !== undefined)
      expect(worst(result.entropyGradient, entry.entropy_gradient ?? [])).toBeLessThanOrEqual(1e-6);
    // The coefficient that TRL logs is one of the options.
    const { entropy_coef: _coefficient, ...metrics } = entry.metrics;
    expect(Object.keys(result.metrics).sort()).toEqual(Object.keys(metrics).sort());
    for (const [name, value] of Object.entries(metrics))
      expect(Math.abs((result.metrics[name] as number) - value), name).toBeLessThanOrEqual(1e-6);
  });
});

const LOGPS = [
  [-1, -2],
  [-0.5, -1.5, -3],
];
const SMALL: ComputeLossOptions = { logProbs: LOGPS, advantages: [1, -1] };

describe("a loss", () => {
  it("is dapo with the trainer's defaults, of rows of any length", () => {
    // On-policy all ratios are 1: −(2 · 1 − 3 · 1) / 5.
    const { loss, gradient, metrics, entropyGradient } = computeLoss(SMALL);
    expect(loss).toBeCloseTo(1 / 5, 12);
    expect(gradient.map((row) => [...row])).toEqual([[-0.2, -0.2].map(Math.fround), [0.2, 0.2, 0.2].map(Math.fround)]);
    expect(entropyGradient).toBeUndefined();
    expect(metrics).toEqual({
      "clip_ratio/low_mean": 0,
      "clip_ratio/low_min": 0,
      "clip_ratio/high_mean": 0,
      "clip_ratio/high_max": 0,
      "clip_ratio/region_mean": 0,
    });
  });

  it("bounds the ratio of cispo at 5 unless told otherwise", () => {
    const far = {
      ...SMALL,
      lossType: "cispo" as const,
      advantages: [1, 1],
      oldLogProbs: LOGPS.map((row) => row.map(() => -4)),
    };
    // log p − old: 3 and 2; 3.5, 2.5 and 1. The last ratio, and no other, is below 5.
    const bound = (max: number) => [3, 2, 3.5, 2.5, 1].map((r) => -Math.fround(Math.min(Math.exp(r), max) / 5));
    const slopes = (more: object) => computeLoss({ ...far, ...more }).gradient.flatMap((row) => [...row]);
    expect(slopes({})).toEqual(bound(5));
    expect(slopes({ epsilonHigh: 10 })).toEqual(bound(10));
    expect(computeLoss(far).metrics).toEqual({ cispo_clip_ratio: 0.8 });
  });

  it("takes typed arrays, and options as configuration files spell them", () => {
    const typed = LOGPS.map((row) => Float32Array.from(row));
    const more = { loss_type: "grpo", lossType: undefined };
    const { loss } = computeLoss({ ...SMALL, ...more, logProbs: typed, advantages: Float32Array.of(1, -1) });
    expect(loss).toBeCloseTo(0, 12);
  });

  it("ignores what a mask leaves out, whatever it holds", () => {
    const padded = [
      [-1, -2, Number.NaN],
      [-0.5, -1.5, -3],
      [Number.NaN, 0, 7],
    ];
    const mask = [
      [1, 1, 0],
      [1, 1, 1],
      [0, 0, 0],
    ];
    const { loss, gradient } = computeLoss({ logProbs: padded, advantages: [1, -1, 5], mask });
    expect(loss).toBe(computeLoss(SMALL).loss);
    expect(gradient[0]?.[2]).toBe(0);
    expect([...(gradient[2] ?? [])]).toEqual([0, 0, 0]);
  });

  it("of nothing but masked tokens is 0", () => {
    const mask = LOGPS.map((row) => row.map(() => 0));
    const entropies = LOGPS;
    const result = computeLoss({ ...SMALL, mask, entropies, refLogProbs: LOGPS, beta: 0.1, entropyCoef: 0.1 });
    expect(result.loss).toBeCloseTo(0, 15);
    expect(result.metrics).toMatchObject({ kl: 0, entropy: 0, "clip_ratio/low_min": 0 });
    expect(result.gradient.flatMap((row) => [...row]).every((value) => value === 0)).toBe(true);
  });

  it("is a share of what an update with several batches adds up", () => {
    const shared = { ...SMALL, gradientAccumulationSteps: 4 };
    for (const lossType of ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] as const) {
      const whole = computeLoss({ ...SMALL, lossType }).loss;
      expect(computeLoss({ ...shared, lossType }).loss).toBeCloseTo(whole / 4, 12);
    }
    // 40 tokens of 8 batches, of which an update takes 4: 20.
    const { loss } = computeLoss({ ...shared, stepsPerGeneration: 8, numItemsInBatch: 40 });
    expect(loss).toBeCloseTo(1 / 20, 12);
  });
});

describe("what does not fit is refused", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what is handed over is wrong on purpose
  type Wrong = any;
  it.each<[string, Wrong, string, string]>([
    ["an unknown option", { epsilonLow: 0.2 }, "ERR_CONFIG", 'unknown field "epsilonLow"'],
    ["an unknown loss", { lossType: "ppo" }, "ERR_CONFIG", "loss_type"],
    ["a negative beta", { beta: -1 }, "ERR_CONFIG", "beta (from computeLoss): expected at least 0, got -1"],
    ["no log-probabilities", { logProbs: undefined }, "ERR_ARGUMENT", "logProbs: expected an array of rows"],
    ["a flat array", { logProbs: [-1, -2] }, "ERR_ARGUMENT", "logProbs[0]: expected an array of numbers"],
    ["no completions", { logProbs: [], advantages: [] }, "ERR_SHAPE", "at least one completion"],
    ["NaN in the policy", { logProbs: [[-1, Number.NaN], LOGPS[1]] }, "ERR_ARGUMENT", "logProbs[0][1]: expected a fin"],
    ["a number too large", { logProbs: [[-1, -1e300], LOGPS[1]] }, "ERR_ARGUMENT", "logProbs[0][1]: expected a fin"],
    ["minus infinity", { oldLogProbs: [LOGPS[0], [-1, -Infinity, 0]] }, "ERR_ARGUMENT", "oldLogProbs[1][1]: expected"],
    ["text", { logProbs: [["-1", -2], LOGPS[1]] }, "ERR_ARGUMENT", "logProbs[0][0]: expected a finite number, got -1"],
    ["too few advantages", { advantages: [1] }, "ERR_SHAPE", "advantages: expected 2 (one per completion), got 1"],
    ["no advantages", { advantages: undefined }, "ERR_SHAPE", "advantages: expected 2"],
    ["a NaN advantage", { advantages: [1, Number.NaN] }, "ERR_ARGUMENT", "advantages[1]: expected a finite number"],
    ["a completion too few", { oldLogProbs: [LOGPS[0]] }, "ERR_SHAPE", "oldLogProbs: expected 2 (completions of"],
    ["a token too many", { oldLogProbs: [LOGPS[1], LOGPS[1]] }, "ERR_SHAPE", "oldLogProbs[0]: expected 2 tokens"],
    ["no reference", { beta: 0.1 }, "ERR_ARGUMENT", "refLogProbs: expected log-probabilities, because beta is 0.1"],
    ["no entropies for the bonus", { entropyCoef: 0.1 }, "ERR_ARGUMENT", "because entropyCoef is 0.1"],
    ["no entropies for the mask", { topEntropyQuantile: 0.2 }, "ERR_ARGUMENT", "because topEntropyQuantile is 0.2"],
    ["half a mask", { mask: [[1, 1]] }, "ERR_SHAPE", "mask: expected 2"],
    ["a mask of other numbers", { mask: [[1, 0.5], LOGPS[1]] }, "ERR_ARGUMENT", "mask[0][1]: expected 0 or 1, got 0.5"],
  ])("%s", (_, wrong, code, message) => {
    expect(() => computeLoss({ ...SMALL, ...wrong })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });
});
