import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  Engine,
  type EstimateArgs,
  type GrpoLossArgs,
  type LoadModelOptions,
  type Model,
  type NativeGroup,
  type NativePrompt,
} from "../../lib/engine/index.js";
import { jsonLines, runCli } from "../support/cli.js";
import { goldenPath } from "../support/golden.js";
import { lossArgs } from "../support/loss.js";

const MODEL = goldenPath("qwen2_5_vl_a");
const DATA = goldenPath("conversations.json");
const [N, LENGTH] = [3, 24];

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.open({ device: "cpu" });
});
afterAll(() => engine.dispose());

const config = readFileSync(`${MODEL}/config.json`, "utf8");

function estimateArgs(more: Partial<EstimateArgs> = {}): EstimateArgs {
  return {
    config,
    storedDtype: "f32",
    precision: "auto",
    train: "full",
    frozen: [],
    lora: null,
    gradientCheckpointing: true,
    prompts: [
      { tokens: 20, grids: [[1, 4, 6]] },
      { tokens: 9, grids: [] },
    ],
    completions: N,
    maxNewTokens: LENGTH,
    microBatches: [[0], [1]],
    reference: "none",
    referencePrecision: "auto",
    referenceWritable: false,
    maxRows: 0,
    evaluated: 0,
    evaluatedRows: 0,
    earlierSteps: 0,
    noDecay: [],
    moments: "f32",
    stochasticRounding: false,
    writable: false,
    ...more,
  };
}

function prompt(imageToken: number): NativePrompt[] {
  const text = Array.from({ length: 14 }, (_, i) => i + 5);
  const pixelValues = Float32Array.from({ length: 24 * 1176 }, (_, i) => Math.sin(i));
  return [
    { tokens: Int32Array.from([...text, ...Array(6).fill(imageToken)]), images: [{ pixelValues, grid: [1, 4, 6] }] },
    { tokens: Int32Array.from(text.slice(0, 9)), images: [] },
  ];
}

async function trainStep(model: Model, step: number): Promise<void> {
  const prompts = prompt(model.info().imageTokenId);
  const sampling = { maxNewTokens: LENGTH, stopTokens: [] };
  const drawn = await model.generate({ prompts, n: N, sampling, seed: step });
  for (const [index, completions] of drawn.entries()) {
    const group: NativeGroup = {
      prompt: prompts[index] as NativePrompt,
      completions: completions.map(({ tokens }) => tokens),
    };
    await model.accumulate({ groups: [group], loss: loss() });
  }
  await model.step({ learningRate: 1e-5 });
}

function loss(): GrpoLossArgs {
  return lossArgs({
    advantages: [new Float32Array(N).fill(1)],
    totalSequences: 2 * N,
    totalTokens: 2 * N * LENGTH,
    maxCompletionLength: LENGTH,
  });
}

describe("an estimate", () => {
  it.each<[string, Pick<LoadModelOptions, "precision" | "moments" | "stochasticRounding">]>([
    ["in f32", {}],
    ["with moments of bytes", { moments: "int8" }],
    ["without masters", { precision: "bf16", moments: "int8", stochasticRounding: true }],
  ])("is what the engine then holds, %s", async (_, more) => {
    const { phases, info } = await engine.estimate(estimateArgs(more));
    const own = await Engine.open({ device: "cpu" });
    try {
      const model = await own.loadModel(MODEL, { train: "full", gradientCheckpointing: true, ...more });
      expect(info).toEqual(model.info());
      for (let step = 0; step < 2; step += 1) await trainStep(model, step);
      const { held, peak } = own.memory();
      expect(Math.max(...phases.map((phase) => phase.held)) / held).toBeCloseTo(1, 2);
      const totals = phases.map(({ use }) => Object.values(use).reduce((a, b) => a + b));
      expect(Math.max(...totals)).toBe(peak);
    } finally {
      own.dispose();
    }
  });

  it("counts the bytes of each form of optimizer and reference", async () => {
    const used = async (more: Partial<EstimateArgs>) => {
      const { phases } = await engine.estimate(estimateArgs(more));
      const load = phases.find(({ name }) => name === "load")?.use;
      return { ...load, optimizer: phases.find(({ name }) => name === "optimize")?.use.optimizer ?? 0 };
    };
    const { parameters } = engine.describeModel(config);
    const sizes = parameters.map(({ shape }) => ({ n: shape.reduce((a, b) => a * b, 1), matrix: shape.length > 1 }));
    const sum = (bytes: (one: { n: number; matrix: boolean }) => number) =>
      sizes.reduce((total, one) => total + bytes(one), 0);
    const near = (got: number | undefined, expected: number) =>
      expect(Math.abs((got ?? 0) - expected)).toBeLessThan(0.02 * expected + 64 * sizes.length);
    const coded = ({ n }: { n: number }) => (n < 4096 ? 8 * n : 2 * n + 8 * Math.ceil(n / 256));
    near(
      (await used({})).optimizer,
      sum(({ n }) => 8 * n),
    );
    const small = await used({ precision: "bf16", moments: "int8", stochasticRounding: true });
    near(small.optimizer, sum(coded));
    near(
      small.gradients,
      sum(({ n }) => 4 * n),
    );
    near(
      small.weights,
      sum(({ n, matrix }) => (matrix ? 2 : 4) * n),
    );
    // A reference that follows has weights of its own; one that does not leaves them in the file.
    const frozen = await used({ reference: "copy" });
    for (const [referencePrecision, bytes] of [
      ["auto", 4],
      ["bf16", 2],
    ] as const) {
      const follows = await used({ reference: "copy", referenceWritable: true, referencePrecision });
      near(
        (follows.weights ?? 0) - (frozen.weights ?? 0),
        sum(({ n, matrix }) => (matrix ? bytes * n : 0)),
      );
    }
  });

  it("leaves the engine's own memory alone, and can be interrupted", async () => {
    const before = engine.memory();
    await engine.estimate(estimateArgs());
    expect(engine.memory()).toEqual(before);
    const signal = AbortSignal.timeout(50);
    const large = estimateArgs({
      prompts: Array(200).fill({ tokens: 400, grids: [] }),
      completions: 500,
      microBatches: [[0]],
      maxNewTokens: 100,
    });
    await expect(engine.estimate(large, { signal })).rejects.toThrow(/timeout/);
  });

  it("names what is wrong with its arguments", async () => {
    for (const [more, message] of [
      [{ microBatches: [[2]] }, /indices of 2 prompts, got 2/],
      [{ prompts: [{ tokens: 6, grids: [[1, 4, 6]] as [number, number, number][] }] }, /more tokens than the 6/],
      [{ prompts: [] }, /at least one/],
      [{ completions: 0 }, /completions: expected an integer from 1/],
      [{ reference: "other" as "none" }, /reference: expected one of "none", "same", "copy"/],
      [{ frozen: ["nothing"] }, /no parameter is named nothing/],
    ] as const) {
      await expect(engine.estimate(estimateArgs(more as Partial<EstimateArgs>))).rejects.toThrow(message);
    }
  });
});

describe("the command", () => {
  it("estimates a run over a data set", async () => {
    const args = ["estimate", "--model", MODEL, "--dataset", DATA, "--max-completion-length", "16", "--json"];
    const { code, stdout } = await runCli(args);
    expect(code).toBe(0);
    const [result] = jsonLines(stdout) as {
      peak: number;
      kept: number;
      process: number;
      phases: Record<string, number>[];
    }[];
    const kinds = ["weights", "gradients", "optimizer", "activations", "kv_cache", "workspace"];
    for (const phase of result?.phases ?? []) {
      expect(kinds.reduce((sum, kind) => sum + (phase[kind] ?? 0), 0)).toBe(phase.total);
    }
    const largest = Math.max(...(result?.phases ?? []).map(({ total }) => total as number));
    expect(result?.peak).toBe(largest + (result?.kept ?? 0) + (result?.process ?? 0));
    expect((result?.phases ?? []).map(({ name }) => name)).toEqual(["load", "generate", "train", "optimize"]);
  });

  it("knows the largest published model on any machine", async () => {
    const args = [
      "--preset",
      "qwen2.5-vl-72b",
      "--prompt-tokens",
      "60",
      "--image",
      "640x480",
      "--prompts-per-step",
      "1",
    ];
    const { stdout } = await runCli(["estimate", ...args, "--memory", "100GB"]);
    expect(stdout).toMatch(/^73\.41 B parameters, all trained/m);
    expect(stdout).toMatch(/^it does not fit in 100\.00 GB; no group fits/m);
    expect(stdout).toMatch(/^ +--use-peft +→ 1\d\d\.\d\d GB$/m);
    expect(stdout).toMatch(/^ +--precision bf16 --stochastic-rounding +→ \d+\.\d\d GB$/m);
    expect(stdout).toMatch(/^ +--optim adamw_8bit +→ \d+\.\d\d GB$/m);
  });
});
