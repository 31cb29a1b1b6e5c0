import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeFolder, loraArgs, readAdapter } from "../../lib/adapters/index.js";
import { loadConversations } from "../../lib/data/datasets/index.js";
import { type AdapterUse, Engine, type LoadModelOptions, type NativeGroup } from "../../lib/engine/index.js";
import { Processor } from "../../lib/processing/index.js";
import type { StepReport } from "../../lib/report/index.js";
import { type GrpoTrainerOptions, type SftTrainerOptions, Trainer } from "../../lib/trainer/index.js";
import { goldenPath, maxDifference, readTensors } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";
import { checkpointFile, runAll, timeless } from "../support/training.js";

/** The real engine on the tiny golden model. */
const MODEL = goldenPath("qwen2_5_vl_a");
const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const { rows } = await loadConversations(goldenPath("../../examples/food/train.json"));
const few = rows.slice(0, 7);

const common = { model: MODEL, dataset: few, device: "cpu", threads: 2, usePeft: true, saveSteps: 0, seed: 5 } as const;

const sft = (outputDir: string, more: Partial<SftTrainerOptions> = {}) =>
  new Trainer({ objective: "sft", ...common, outputDir, promptsPerStep: 4, maxSteps: 12, learningRate: 2e-2, ...more });

const grpo = (outputDir: string, more: Partial<GrpoTrainerOptions> = {}) =>
  new Trainer({
    ...common,
    rewards: [(completion) => -completion.length],
    outputDir,
    maxSteps: 3,
    promptsPerStep: 2,
    numGenerations: 4,
    maxCompletionLength: 10,
    learningRate: 1e-2,
    ...more,
  });

async function runAndClose(trainer: Trainer, signal?: AbortSignal): Promise<StepReport[]> {
  try {
    return await runAll(trainer, signal);
  } finally {
    await trainer.dispose();
  }
}

const adapterOf = (outputDir: string, step: number) => checkpointFile(outputDir, step, "adapter");
const bytesOf = (outputDir: string, step: number, name: string) =>
  readFileSync(checkpointFile(outputDir, step, name)).toString("base64");

describe("training an adapter", () => {
  test("lowers the loss of SFT, with any of its kinds", async () => {
    for (const kind of [
      {},
      { loraR: 4, useRslora: true, loraTargetModules: "all-linear" },
      { loraTargetModules: ["q_proj", "down_proj"], loraVision: false, loraDropout: 0.1 },
      { loraVision: true, loraMerger: true, gradientCheckpointing: false },
    ]) {
      const reports = await runAndClose(sft(newRun(), kind));
      const losses = reports.map(({ metrics }) => metrics.loss ?? Number.NaN);
      expect(losses.at(-1)).toBeLessThan(0.8 * (losses[0] ?? 0));
    }
  });

  test.each(["auto", "bf16"] as const)("samples and trains with the same bits, weights %s", async (precision) => {
    const reports = await runAndClose(grpo(newRun(), { precision, beta: 0.1, loraVision: true }));
    for (const { metrics } of reports) {
      expect(metrics["sampling/sampling_logp_difference/max"]).toBe(0);
      expect(metrics.grad_norm).toBeGreaterThan(0);
    }
    // It begins as the model without it.
    expect(reports[0]?.metrics.kl).toBe(0);
    expect(reports[2]?.metrics.kl).toBeGreaterThan(0);
  });

  test("goes on bit for bit after an interruption, dropout, vision tower and reference included", async () => {
    const options = { maxSteps: 5, beta: 0.04, saveSteps: 2, loraVision: true, loraDropout: 0.1, numIterations: 2 };
    const whole = newRun();
    const expected = await runAndClose(grpo(whole, options));
    const broken = newRun();
    const controller = new AbortController();
    const onStep = ({ step }: StepReport) => {
      if (step === 3) setTimeout(() => controller.abort(new Error("Ctrl-C")), 5);
    };
    const interrupted = grpo(broken, { ...options, reporters: [{ onStep }] });
    await expect(runAndClose(interrupted, controller.signal)).rejects.toThrow("Ctrl-C");
    const rest = await runAndClose(grpo(broken, { ...options, resume: true }));
    expect(rest.length).toBeGreaterThan(0);
    expect(rest.map(timeless)).toEqual(expected.slice(5 - rest.length).map(timeless));
    for (const name of ["state.safetensors", "adapter/adapter_model.safetensors"]) {
      expect(bytesOf(broken, 5, name)).toBe(bytesOf(whole, 5, name));
    }
  });

  test("gives the same bits with one thread, and without recompute", async () => {
    const options = { maxSteps: 2, loraDropout: 0.1, loraTargetModules: "all-linear" };
    const first = newRun();
    const reports = await runAndClose(sft(first, options));
    for (const change of [{ threads: 1 }, { gradientCheckpointing: false }]) {
      const other = newRun();
      expect((await runAndClose(sft(other, { ...options, ...change }))).map(timeless)).toEqual(reports.map(timeless));
      expect(bytesOf(other, 2, "state.safetensors")).toBe(bytesOf(first, 2, "state.safetensors"));
    }
    const seeded = await runAndClose(sft(newRun(), { ...options, seed: 6, shuffleDataset: false }));
    expect(seeded.map(({ metrics }) => metrics.loss)).not.toEqual(reports.map(({ metrics }) => metrics.loss));
  });

  test("goes on from a saved adapter where that ended", async () => {
    const outputDir = newRun();
    const reports = await runAndClose(sft(outputDir, { loraR: 4, shuffleDataset: false }));
    const adapter = adapterOf(outputDir, 12);
    const more = { usePeft: undefined, shuffleDataset: false, maxSteps: 1 };
    const [next] = await runAndClose(sft(newRun(), { ...more, adapter }));
    const [named] = await runAndClose(sft(newRun(), { ...more, model: adapter }));
    expect(next?.metrics.loss).toBeLessThan(0.9 * (reports[0]?.metrics.loss ?? 0));
    expect(named?.metrics.loss).toBe(next?.metrics.loss);
    // The reference of a run that goes on is the adapter as it was, so that it begins without a distance to it.
    const [first] = await runAndClose(grpo(newRun(), { usePeft: undefined, adapter, beta: 0.1, maxSteps: 1 }));
    expect(first?.metrics.kl).toBe(0);
  });
});

describe("a trained adapter", () => {
  let engine: Engine;
  let adapter: string;
  let groups: NativeGroup[];

  beforeAll(async () => {
    const outputDir = newRun();
    await runAndClose(sft(outputDir, { loraR: 3, loraTargetModules: "all-linear", useRslora: true }));
    adapter = adapterOf(outputDir, 12);
    engine = await Engine.open({ device: "cpu", threads: 2 });
    const processor = await Processor.load(MODEL, engine);
    groups = await Promise.all(
      few.slice(0, 3).map(async ({ messages, images, solution }) => ({
        prompt: await processor.prompt(messages, images),
        completions: [processor.answerTokens(solution)],
      })),
    );
  });

  afterAll(() => engine.dispose());

  async function scores(directory: string, load: LoadModelOptions = {}, adapter: AdapterUse = "on"): Promise<number[]> {
    const model = await engine.loadModel(directory, load);
    try {
      const all = await model.logProbs({ groups, adapter });
      return all.flatMap((group) => group.flatMap(({ logProbs }) => [...logProbs]));
    } finally {
      model.dispose();
    }
  }

  async function stored(): Promise<NonNullable<LoadModelOptions["lora"]>> {
    const { spec, weights } = await readAdapter(adapter, await describeFolder(engine, MODEL));
    return loraArgs(spec, { weights, seed: 0 });
  }

  const distance = (a: number[], b: number[]) =>
    Math.hypot(...a.map((value, i) => value - (b[i] ?? Number.NaN))) / Math.hypot(...b);

  test("is the model without it when it is switched off", async () => {
    const lora = await stored();
    const base = await scores(MODEL);
    expect(await scores(MODEL, { lora }, "off")).toEqual(base);
    expect(distance(await scores(MODEL, { lora }), base)).toBeGreaterThan(0.01);
  });

  test("says the same when it is merged into the weights", async () => {
    const trained = await engine.loadModel(MODEL, { lora: await stored() });
    const merged = join(folder, "by-hand");
    await trained.save(merged, { what: "merged" });
    trained.dispose();
    // config.json is the trainer's affair.
    copyFileSync(join(MODEL, "config.json"), join(merged, "config.json"));
    expect(distance(await scores(merged), await scores(MODEL, { lora: await stored() }))).toBeLessThan(1e-5);
  });

  test("is scored with the bits that it is sampled with", async () => {
    const model = await engine.loadModel(MODEL, { lora: await stored() });
    const prompts = groups.map(({ prompt }) => prompt);
    const news: number[][] = prompts.map(() => []);
    const completions = await model.generate({
      prompts,
      sampling: { maxNewTokens: 9 },
      onProgress: (progress) => {
        for (const { completion, token } of progress.news) news[completion]?.push(token);
      },
    });
    const sampled = completions.map(([first]) => first?.tokens ?? new Int32Array());
    const again = await model.logProbs({
      groups: prompts.map((prompt, i) => ({ prompt, completions: [sampled[i] as Int32Array] })),
    });
    expect(again.map(([first]) => first?.logProbs)).toEqual(completions.map(([first]) => first?.logProbs));
    // What was reported while it was drawn is where it begins.
    for (const [i, tokens] of news.entries()) expect([...(sampled[i] ?? [])].slice(0, tokens.length)).toEqual(tokens);
    expect(news.flat().length).toBeGreaterThan(0);
    model.dispose();
  });
});

describe("frozen parts", () => {
  const trainParts = async (options: Partial<SftTrainerOptions>) => {
    const outputDir = newRun();
    await runAndClose(sft(outputDir, { usePeft: undefined, maxSteps: 2, learningRate: 1e-2, ...options }));
    const before = readTensors(join(MODEL, "model.safetensors"));
    const after = readTensors(checkpointFile(outputDir, 2, "model.safetensors"));
    return [...before].flatMap(([name, { data }]) =>
      maxDifference(after.get(name)?.data ?? [], data) === 0 ? [] : [name],
    );
  };

  test("stay as they are, to the bit, while the others are trained", async () => {
    const all = [...readTensors(join(MODEL, "model.safetensors")).keys()];
    const language = all.filter((name) => !name.startsWith("visual."));
    expect((await trainParts({ freezeVisionModules: true })).sort()).toEqual(language.sort());
    const merger = await trainParts({ freezeVisionModules: true, freezeMerger: false });
    expect(merger.filter((name) => name.startsWith("visual.")).every((name) => name.includes("merger"))).toBe(true);
    expect(merger.length).toBeGreaterThan(language.length);
    const only = await trainParts({ trainablePatterns: ["layers.1"], freezePatterns: ".*bias" });
    expect(only.every((name) => /layers\.1\..*weight/.test(name))).toBe(true);
    expect(only).toHaveLength(9);
  });
});
