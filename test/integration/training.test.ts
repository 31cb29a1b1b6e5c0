import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConversations } from "../../lib/data/datasets/index.js";
import { Engine } from "../../lib/engine/index.js";
import { Processor } from "../../lib/processing/index.js";
import type { StepReport } from "../../lib/report/index.js";
import { type GrpoTrainerOptions, type SftTrainerOptions, Trainer } from "../../lib/trainer/index.js";
import { goldenPath, maxDifference, readTensors } from "../support/golden.js";
import { lossArgs } from "../support/loss.js";
import { temporaryFolder } from "../support/temporary.js";
import { checkpointFile, runAll, timeless } from "../support/training.js";

/** The real engine on the tiny golden model: too small to learn a task, large enough to lose a bit. */
const MODEL = goldenPath("qwen2_5_vl_a");
const DATA = goldenPath("../../examples/food/train.json");
const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const { rows } = await loadConversations(DATA);
const few = rows.slice(0, 7);

/** Text that a random model writes by chance: lower mean code point earns more. */
const byCodePoint = (completion: string) =>
  [...completion].reduce((sum, character) => sum - Math.min(1, (character.codePointAt(0) ?? 0) / 1000), 0);

function grpo(outputDir: string, more: Partial<GrpoTrainerOptions> = {}): Trainer {
  return new Trainer({
    model: MODEL,
    dataset: few,
    rewards: [byCodePoint],
    outputDir,
    device: "cpu",
    threads: 2,
    maxSteps: 4,
    promptsPerStep: 3,
    numGenerations: 4,
    maxCompletionLength: 12,
    learningRate: 1e-3,
    seed: 5,
    saveSteps: 0,
    ...more,
  });
}

async function runAndClose(trainer: Trainer, signal?: AbortSignal): Promise<StepReport[]> {
  try {
    return await runAll(trainer, signal);
  } finally {
    await trainer.dispose();
  }
}

const weights = (outputDir: string, step: number) => readFileSync(checkpointFile(outputDir, step, "model.safetensors"));
const trainingState = (outputDir: string, step: number) =>
  readFileSync(checkpointFile(outputDir, step, "state.safetensors"));

describe("GRPO with the engine", () => {
  test("sampling and training agree to the last bit, for each loss type", async () => {
    for (const lossType of ["grpo", "bnpo", "dr_grpo", "dapo"] as const) {
      const reports = await runAndClose(grpo(newRun(), { lossType, maxSteps: 2 }));
      for (const { metrics } of reports) {
        expect(metrics["sampling/sampling_logp_difference/max"]).toBe(0);
        expect(metrics["sampling/sampling_logp_difference/mean"]).toBe(0);
        expect(metrics.grad_norm).toBeGreaterThan(0);
        expect(metrics.entropy).toBeGreaterThan(0);
      }
    }
  });

  test("the same seed gives the same bits with one thread and two, with recompute on and off", async () => {
    const first = newRun();
    const reports = await runAndClose(grpo(first));
    for (const change of [{ threads: 1 }, { gradientCheckpointing: false }]) {
      const other = newRun();
      expect((await runAndClose(grpo(other, change))).map(timeless)).toEqual(reports.map(timeless));
      expect(weights(other, 4).equals(weights(first, 4))).toBe(true);
    }
    const seed = newRun();
    await runAndClose(grpo(seed, { seed: 6 }));
    expect(weights(seed, 4).equals(weights(first, 4))).toBe(false);
  });

  test("a resumed run ends in the same bits as one that was not interrupted", async () => {
    const options = { maxSteps: 5, beta: 0.04, numIterations: 2, saveSteps: 2 };
    const whole = newRun();
    const expected = await runAndClose(grpo(whole, options));
    const broken = newRun();
    const controller = new AbortController();
    const onStep = ({ step }: StepReport) => {
      // In the middle of the next step's sampling or training.
      if (step === 3) setTimeout(() => controller.abort(new Error("Ctrl-C")), 5);
    };
    const interrupted = grpo(broken, { ...options, reporters: [{ onStep }] });
    await expect(runAndClose(interrupted, controller.signal)).rejects.toThrow("Ctrl-C");
    const rest = await runAndClose(grpo(broken, { ...options, resume: true }));
    expect(rest.map(timeless)).toEqual(expected.slice(5 - rest.length).map(timeless));
    expect(rest.length).toBeGreaterThan(0);
    expect(weights(broken, 5).equals(weights(whole, 5))).toBe(true);
    expect(trainingState(broken, 5).equals(trainingState(whole, 5))).toBe(true);
  });

  test("a smaller token budget cuts a step into more passes for the same gradient", async () => {
    const one = await runAndClose(grpo(newRun(), { maxSteps: 1 }));
    const many = await runAndClose(grpo(newRun(), { maxSteps: 1, maxTokensPerMicrobatch: 1 }));
    expect(many[0]?.metrics.loss).toBeCloseTo(one[0]?.metrics.loss ?? Number.NaN, 5);
    const relative = (many[0]?.metrics.grad_norm ?? 0) / (one[0]?.metrics.grad_norm ?? 1);
    expect(relative).toBeCloseTo(1, 4);
  });

  test("raises a reward that the model can earn", async () => {
    const reports = await runAndClose(
      grpo(newRun(), { maxSteps: 25, numGenerations: 8, learningRate: 5e-3, lrSchedulerType: "constant" }),
    );
    const mean = (part: StepReport[]) =>
      part.reduce((sum, { metrics }) => sum + (metrics.reward ?? 0), 0) / part.length;
    const spread = reports[0]?.metrics.reward_std ?? 0;
    expect(mean(reports.slice(-5))).toBeGreaterThan(mean(reports.slice(0, 5)) + spread);
  });
});

test("a group without advantage adds nothing to the gradient, so that leaving it out changes no bit", async () => {
  const engine = await Engine.open({ device: "cpu", threads: 2 });
  try {
    const processor = await Processor.load(MODEL, engine);
    const model = await engine.loadModel(MODEL, { train: "full" });
    const groups = await Promise.all(
      few.slice(0, 2).map(async ({ messages, images }, index) => ({
        prompt: await processor.prompt(messages, images),
        completions: [0, 1].map((n) => Int32Array.of(5 + n, 60 + index, 310)),
      })),
    );
    const totals = { totalSequences: 4, totalTokens: 12, maxCompletionLength: 8 };
    const gradientOf = async (name: string, advantages: number[][]) => {
      const used = groups.slice(0, advantages.length);
      const mask = advantages.map(() => Uint8Array.of(1, 1));
      await model.accumulate({
        groups: used,
        loss: lossArgs({ ...totals, mask, advantages: advantages.map((values) => Float32Array.from(values)) }),
      });
      const path = join(folder, name);
      await model.save(path, { what: "gradients" });
      await model.zeroGradients();
      return readTensors(path);
    };
    const alone = await gradientOf("alone.safetensors", [[1, -0.5]]);
    const both = await gradientOf("both.safetensors", [
      [1, -0.5],
      [0, 0],
    ]);
    expect(alone.size).toBeGreaterThan(10);
    for (const [name, { data }] of alone) expect(maxDifference(both.get(name)?.data ?? [], data)).toBe(0);
  } finally {
    engine.dispose();
  }
});

describe("supervised fine-tuning with the engine", () => {
  const sft = (outputDir: string, more: Partial<SftTrainerOptions> = {}) =>
    new Trainer({
      objective: "sft",
      model: MODEL,
      dataset: few,
      outputDir,
      device: "cpu",
      promptsPerStep: 4,
      numTrainEpochs: 12,
      learningRate: 5e-3,
      saveSteps: 0,
      ...more,
    });

  test("the loss falls, and the saved folder goes on where it ended", async () => {
    const outputDir = newRun();
    const reports = await runAndClose(sft(outputDir));
    expect(reports).toHaveLength(21);
    const last = reports.at(-1)?.metrics.loss ?? Number.NaN;
    expect(last).toBeLessThan(0.7 * (reports[0]?.metrics.loss ?? 0));
    const saved = join(outputDir, "checkpoints", "step-000021");
    const [next] = await runAndClose(sft(newRun(), { model: saved, maxSteps: 1 }));
    expect(next?.metrics.loss).toBeLessThan(1.5 * last);
  });

  test("augmented pictures change from epoch to epoch, and are the same in a repeated run", async () => {
    const options = { augment: true, maxSteps: 4, learningRate: 0, promptsPerStep: 7, shuffleDataset: false };
    const losses = async () => (await runAndClose(sft(newRun(), options))).map(({ metrics }) => metrics.loss);
    const first = await losses();
    expect(new Set(first).size).toBe(4);
    expect(await losses()).toEqual(first);
    const plain = await runAndClose(sft(newRun(), { ...options, augment: false }));
    expect(new Set(plain.map(({ metrics }) => metrics.loss)).size).toBe(1);
  });
});
