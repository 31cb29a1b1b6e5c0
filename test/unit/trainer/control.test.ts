import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { type GrpoTrainerOptions, Trainer, type TrainerCallbacks } from "../../../lib/trainer/index.js";
import { baseRateAt, withChange } from "../../../lib/trainer/learning-rate.js";
import { Watch } from "../../../lib/trainer/watch.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, MODEL, rows, runAll, timeless } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const statusOf = (outputDir: string) =>
  JSON.parse(readFileSync(join(outputDir, "run.json"), "utf8")) as Record<string, unknown>;
const rates = (reports: { metrics: Record<string, number> }[]) => reports.map(({ metrics }) => metrics.learning_rate);

describe("a run that is paused", () => {
  test("begins no step until it goes on, and ends in the same bits", async () => {
    const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 4 }));
    const outputDir = newRun();
    const said: string[] = [];
    const callbacks: TrainerCallbacks = {
      onStep: ({ step }, run) => {
        said.push(`step ${step}`);
        if (step === 2) run.pause();
      },
      onPause: ({ step }, run) => void said.push(`pause ${step} ${run.paused}`),
      onContinue: ({ step }) => void said.push(`continue ${step}`),
    };
    const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 4, callbacks });
    const paused = new Promise((resolve) => trainer.once("pause", resolve));
    const all = runAll(trainer);
    await paused;
    await sleep(20);
    expect(said).toEqual(["step 1", "step 2", "pause 2 true"]);
    expect(statusOf(outputDir)).toEqual({ status: "paused", step: 2, totalSteps: 4 });
    trainer.continue();
    expect((await all).map(timeless)).toEqual(expected.map(timeless));
    expect(said.slice(3)).toEqual(["continue 2", "step 3", "step 4"]);
    expect(trainer.paused).toBe(false);
  });

  test("before its start makes no first step", async () => {
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 1 });
    trainer.pause();
    const steps: number[] = [];
    trainer.on("step", ({ step }) => void steps.push(step));
    trainer.on("pause", ({ step }) => void steps.push(step));
    const paused = new Promise((resolve) => trainer.once("pause", resolve));
    const all = runAll(trainer);
    await paused;
    await sleep(20);
    expect(steps).toEqual([0]);
    trainer.continue();
    await all;
    expect(steps).toEqual([0, 1]);
  });

  test("may be paused again by who hears that it goes on, and stopped", async () => {
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 4 });
    let pauses = 0;
    trainer.on("step", ({ step }) => void (step === 1 && trainer.pause()));
    trainer.on("pause", () => {
      pauses += 1;
      if (pauses === 1) trainer.continue();
      else setTimeout(() => trainer.stop("enough"), 5);
    });
    trainer.once("continue", () => trainer.pause());
    expect(await runAll(trainer)).toHaveLength(1);
    expect(pauses).toBe(2);
    expect(statusOf(outputDir)).toEqual({ status: "interrupted", step: 1, totalSteps: 4, reason: "enough" });
    expect(existsSync(checkpointFile(outputDir, 1, "trainer.json"))).toBe(true);
    // What was wanted of that run is nothing to the next one.
    expect(await runAll(trainer)).toHaveLength(3);
  });

  test("stays so where a second run is refused", async () => {
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 2 });
    trainer.pause();
    const paused = new Promise((resolve) => trainer.once("pause", resolve));
    const all = runAll(trainer);
    await paused;
    await expect(runAll(trainer)).rejects.toMatchObject({ code: "ERR_STATE" });
    expect(trainer.paused).toBe(true);
    trainer.continue();
    expect(await all).toHaveLength(2);
  });

  test("is interrupted by its signal, behind a checkpoint", async () => {
    const outputDir = newRun();
    const controller = new AbortController();
    const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 4 });
    trainer.on("step", () => trainer.pause());
    trainer.on("pause", () => void setTimeout(() => controller.abort(new Error("Ctrl-C")), 5));
    await expect(runAll(trainer, controller.signal)).rejects.toThrow("Ctrl-C");
    expect(statusOf(outputDir)).toMatchObject({ status: "interrupted", step: 1 });
    expect(existsSync(checkpointFile(outputDir, 1, "trainer.json"))).toBe(true);
  });
});

describe("a trainer that is disposed of while its run is paused", () => {
  test("ends that behind a checkpoint", async () => {
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 4 });
    trainer.on("step", () => trainer.pause());
    const disposed = new Promise<void>((resolve) => {
      trainer.on("pause", () => void setTimeout(() => void trainer.dispose().then(resolve), 5));
    });
    expect(await runAll(trainer)).toHaveLength(1);
    await disposed;
    expect(statusOf(outputDir)).toMatchObject({ status: "interrupted", step: 1 });
    expect(existsSync(checkpointFile(outputDir, 1, "trainer.json"))).toBe(true);
  });

  test("within a callback, which the run waits for, ends it with an error", async () => {
    const callbacks = {
      onStep: (_: unknown, run: Pick<Trainer, "pause">) => run.pause(),
      onPause: () => trainer.dispose(),
    };
    const trainer: Trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 4, callbacks });
    await expect(runAll(trainer)).rejects.toMatchObject({ code: "ERR_STATE" });
  });
});

/** Sets another rate in the middle of step 3, as anyone outside of the loop does. */
const atStep3 = (rate: number): TrainerCallbacks => ({
  onRollout: ({ step }, run) => {
    if (step === 3) run.setLearningRate(rate);
  },
});

describe("a learning rate that is changed", () => {
  test("holds from the next step on, under the same schedule, and is told", async () => {
    const warnings: string[] = [];
    const callbacks = { ...atStep3(0.1), onWarning: (message: string) => void warnings.push(message) };
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 5, learningRate: 0.5, callbacks });
    expect(trainer.learningRate).toBe(0.5);
    const watched = vi.spyOn(Watch.prototype, "observe");
    const found = rates(await runAll(trainer));
    // Its advice is for the steps that come.
    expect(watched.mock.calls.map(([, , rate]) => rate)).toEqual([0.5, 0.5, 0.1, 0.1, 0.1]);
    watched.mockRestore();
    for (const [i, expected] of [0.5, 0.4, 0.3, 0.04, 0.02].entries()) expect(found[i]).toBeCloseTo(expected, 12);
    expect(trainer.learningRate).toBe(0.1);
    expect(warnings).toEqual(["the learning rate is changed from 0.5 to 0.1, from step 4 on"]);
  });

  test.each([2, 3, 4])("is gone on with bit for bit by a run that was interrupted after step %d", async (last) => {
    const options = { maxSteps: 6, callbacks: atStep3(0.2) };
    const expected = await runAll(banditRun(await banditEngine(), newRun(), options));
    const outputDir = newRun();
    const first = banditRun(await banditEngine(), outputDir, options);
    first.on("step", ({ step }) => void (step === last && first.stop()));
    const done = await runAll(first);
    // Who set it after that sets it again; what was set before is in the checkpoint.
    const callbacks = last < 3 ? atStep3(0.2) : {};
    const rest = await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 6, callbacks, resume: true }));
    expect([...done, ...rest].map(timeless)).toEqual(expected.map(timeless));
  });

  test("within a step that is dropped stays where it was to be", async () => {
    const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 5, callbacks: atStep3(0.2) }));
    const outputDir = newRun();
    const controller = new AbortController();
    const interrupted = banditRun(await banditEngine(), outputDir, { maxSteps: 5, callbacks: atStep3(0.2) });
    interrupted.on("rollout", ({ step }) => void (step === 3 && controller.abort()));
    await expect(runAll(interrupted, controller.signal)).rejects.toMatchObject({ name: "AbortError" });
    const rest = await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 5, resume: true }));
    expect(rest.map(timeless)).toEqual(expected.slice(2).map(timeless));
  });

  test("gives way to another one in the options of a run that goes on", async () => {
    const outputDir = newRun();
    const options = { maxSteps: 6, lrSchedulerType: "constant", callbacks: atStep3(0.2) } as const;
    const first = banditRun(await banditEngine(), outputDir, options);
    first.on("step", ({ step }) => void (step === 4 && first.stop()));
    await runAll(first);
    const warnings: string[] = [];
    const callbacks: TrainerCallbacks = { onWarning: (message) => void warnings.push(message) };
    const go = async (more: Partial<GrpoTrainerOptions>) => {
      const trainer = banditRun(await banditEngine(), outputDir, { ...options, callbacks, resume: true, ...more });
      trainer.once("step", () => trainer.stop());
      return rates(await runAll(trainer));
    };
    expect(await go({})).toEqual([0.2]);
    expect(warnings.splice(0)).toEqual(["the learning rate is 0.2 since step 4, as it was set while the run went on"]);
    expect(await go({ learningRate: 0.05 })).toEqual([0.05]);
    expect(warnings.splice(0)).toEqual([expect.stringMatching(/^learning_rate 0.5, now 0.05: from here on/)]);
  });

  test("before the run holds from its first step; parts of the model keep their proportion", async () => {
    const seen: unknown[] = [];
    const engine = await banditEngine({
      onVerb: (verb, args) => void (verb === "step" && seen.push((args as { learningRate: unknown }).learningRate)),
    });
    const options = {
      maxSteps: 2,
      lrSchedulerType: "constant",
      visionLearningRate: 0.1,
      mergerLearningRate: 1,
    } as const;
    const trainer = banditRun(engine, newRun(), options);
    trainer.setLearningRate(0.25);
    expect(trainer.learningRate).toBe(0.25);
    await runAll(trainer);
    expect(seen).toEqual(Array(2).fill({ vision: 0.05, merger: 0.5, language: 0.25 }));
  });

  test("keeps floors of the schedule in proportion, below which a rate would be refused", async () => {
    const kwargs = { lrSchedulerType: "cosine_with_min_lr", lrSchedulerKwargs: { min_lr: 0.25 } } as const;
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 8, ...kwargs });
    trainer.on("step", ({ step }) => void (step === 1 && trainer.setLearningRate(0.01)));
    const found = rates(await runAll(trainer)) as number[];
    expect(Math.min(...found)).toBeGreaterThanOrEqual(0.005);
    expect(found.at(-1)).toBeLessThan(0.006);
  });

  test("works in supervised training too", async () => {
    const trainer = new Trainer({
      ...{ objective: "sft", model: MODEL, dataset: rows(8), engine: await banditEngine(), outputDir: newRun() },
      ...{ promptsPerStep: 4, maxSteps: 3, learningRate: 0.5, lrSchedulerType: "constant" },
    });
    trainer.once("step", () => trainer.setLearningRate(0));
    expect(rates(await runAll(trainer))).toEqual([0.5, 0, 0]);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, "1e-6" as never])("to %s is refused", async (value) => {
    const trainer = banditRun(await banditEngine(), newRun());
    expect(() => trainer.setLearningRate(value)).toThrow(/learning rate: expected a number of at least 0, got/);
    expect(trainer.learningRate).toBe(0.5);
  });
});

test("changes of learning rates are looked up by the step", () => {
  let changes = withChange([], 3, 0.3);
  changes = withChange(changes, 5, 0.5);
  expect([2, 3, 4, 5, 9].map((step) => baseRateAt(changes, step, 1))).toEqual([1, 0.3, 0.3, 0.5, 0.5]);
  expect(withChange(changes, 4, 0.4)).toEqual([
    { step: 3, learningRate: 0.3 },
    { step: 4, learningRate: 0.4 },
  ]);
});
