import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { GrpoTrainerOptions, Trainer, TrainerCallbacks } from "../../../lib/trainer/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, rows, runAll, timeless } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const stateOf = (outputDir: string, step: number) =>
  JSON.parse(readFileSync(checkpointFile(outputDir, step, "trainer.json"), "utf8")) as Record<string, unknown>;

describe("a checkpoint that is asked for while another is due", () => {
  const due = { maxSteps: 2, saveSteps: 1, evalSteps: 1, evalDataset: rows(2), saveTotalLimit: 9 };

  test("is one with it, whether it comes from a step or an evaluation", async () => {
    const expected = newRun();
    await runAll(banditRun(await banditEngine(), expected, due));
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine(), outputDir, due);
    const saved: Promise<string | undefined>[] = [];
    const written: number[] = [];
    // Neither waits for what it has begun.
    for (const event of ["step", "eval"] as const) trainer.on(event, () => void saved.push(trainer.saveCheckpoint()));
    trainer.on("checkpoint", ({ step }) => void written.push(step));
    await runAll(trainer);
    const at = (step: number) => join(outputDir, "checkpoints", `step-00000${step}`);
    expect(await Promise.all(saved)).toEqual([at(1), at(1), at(2), at(2)]);
    for (const step of [1, 2]) {
      const { seconds, files, history, ...state } = stateOf(outputDir, step);
      const { seconds: _, files: _files, history: _history, ...same } = stateOf(expected, step);
      expect(state).toEqual(same);
      expect(written.filter((one) => one === step).length).toBeLessThanOrEqual(2);
    }
    expect(stateOf(outputDir, 2).evaluations).toHaveLength(2);
  });

  test("is there at once for who has just been told of it", async () => {
    const outputDir = newRun();
    const asked: (string | undefined)[] = [];
    const callbacks: TrainerCallbacks = {
      onStep: async (_, run) => void (await run.saveCheckpoint()),
      onCheckpoint: async (_, run) => void asked.push(await run.saveCheckpoint()),
    };
    await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 1, callbacks }));
    expect(asked).toEqual([join(outputDir, "checkpoints", "step-000001")]);
  });
});

describe("a step that fails between two of its updates", () => {
  test("is neither saved nor gone on from", async () => {
    let updates = 0;
    const onVerb = (verb: string) => {
      if (verb === "step") updates += 1;
      if (verb === "accumulate" && updates === 3) throw new Error("the engine is gone");
    };
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine({ onVerb }), outputDir, {
      maxSteps: 4,
      numIterations: 2,
      saveSteps: 1,
    });
    await expect(runAll(trainer)).rejects.toThrow("the engine is gone");
    updates = 100;
    expect(await trainer.saveCheckpoint()).toBe(join(outputDir, "checkpoints", "step-000001"));
    await expect(runAll(trainer)).rejects.toMatchObject({
      code: "ERR_STATE",
      message: "step 2 has failed between two of its updates",
    });
    const options = { maxSteps: 4, numIterations: 2, saveSteps: 1 };
    const expected = await runAll(banditRun(await banditEngine(), newRun(), options));
    const rest = await runAll(banditRun(await banditEngine(), outputDir, { ...options, resume: true }));
    expect(rest.map(timeless)).toEqual(expected.slice(1).map(timeless));
  });
});

describe("run()", () => {
  test("is refused while it is under way, and may be called again after it", async () => {
    const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 3 }));
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 3 });
    const reports: unknown[] = [];
    for await (const report of trainer.run()) {
      reports.push(timeless(report));
      await expect(runAll(trainer)).rejects.toMatchObject({
        code: "ERR_STATE",
        message: expect.stringMatching(/is under way/),
      });
      if (report.step === 2) break;
    }
    reports.push(...(await runAll(trainer)).map(timeless));
    expect(reports).toEqual(expected.map(timeless));
    expect(await runAll(trainer)).toEqual([]);
  });

  test("tells what ended it, and not what a callback of the end threw after it", async () => {
    const warnings: string[] = [];
    const callbacks: TrainerCallbacks = {
      onStep: () => {
        throw new RangeError("first");
      },
      onEnd: () => {
        throw new RangeError("second");
      },
      onWarning: (message) => void warnings.push(message),
    };
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 2, callbacks });
    await expect(runAll(trainer)).rejects.toMatchObject({ message: "the callback onStep threw: RangeError: first" });
    expect(warnings).toEqual(["the callback onEnd threw: RangeError: second"]);
    const onEnd = callbacks.onEnd;
    const ending = banditRun(await banditEngine(), newRun(), { maxSteps: 1, callbacks: { onEnd } });
    await expect(runAll(ending)).rejects.toMatchObject({ message: "the callback onEnd threw: RangeError: second" });
  });
});

describe("trainers", () => {
  test("that share an engine do not disturb each other, and leave it open", async () => {
    const engine = await banditEngine();
    const options = [{ seed: 3 }, { seed: 4 }];
    const alone = [];
    for (const more of options) {
      alone.push((await runAll(banditRun(await banditEngine(), newRun(), more))).map(timeless));
    }
    const trainers = options.map((more) => banditRun(engine, newRun(), more));
    const together = await Promise.all(trainers.map((trainer) => runAll(trainer)));
    expect(together.map((reports) => reports.map(timeless))).toEqual(alone);
    await (trainers[0] as Trainer).dispose();
    expect(await runAll(banditRun(engine, newRun(), { maxSteps: 1 }))).toHaveLength(1);
  });

  test("are disposed of once, before a run or after it, and close once", async () => {
    let closed = 0;
    const onClose = () => {
      closed += 1;
    };
    const callbacks: TrainerCallbacks = { onClose };
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 1, callbacks });
    await trainer.dispose();
    expect(closed).toBe(0);
    await runAll(trainer);
    await Promise.all([trainer.dispose(), trainer.dispose()]);
    await trainer.dispose();
    expect(closed).toBe(1);
  });

  test("evaluate without a run, which makes no step", async () => {
    const trainer = banditRun(await banditEngine(), newRun(), { evalDataset: rows(3) });
    const { answers, metrics } = await trainer.evaluate();
    expect(answers).toHaveLength(3);
    expect(metrics.eval_reward).toBeGreaterThanOrEqual(0);
    expect(await trainer.state()).toMatchObject({ step: 0, evaluations: [] });
  });
});

describe("a run that goes on with another number of steps", () => {
  const warnings = async (first: Partial<GrpoTrainerOptions>, then: Partial<GrpoTrainerOptions>) => {
    const outputDir = newRun();
    await runAll(banditRun(await banditEngine(), outputDir, first));
    const said: string[] = [];
    const callbacks: TrainerCallbacks = { onWarning: (message) => void said.push(message) };
    await runAll(banditRun(await banditEngine(), outputDir, { ...first, ...then, resume: true, callbacks }));
    return said;
  };

  test("says so where the learning rates of its steps would have been others", async () => {
    expect(await warnings({ maxSteps: 2 }, { maxSteps: 3 })).toEqual([
      expect.stringContaining("the run was to have 2 steps, now 3: the 2 that are done"),
    ]);
    expect(await warnings({ maxSteps: 2, lrSchedulerType: "constant" }, { maxSteps: 3 })).toEqual([]);
    const half = { lrSchedulerType: "constant", warmupRatio: 0.5 } as const;
    expect(await warnings({ ...half, maxSteps: 4 }, { maxSteps: 6 })).toHaveLength(1);
    // The first step of both has the highest rate.
    expect(await warnings({ maxSteps: 1 }, { maxSteps: 3 })).toEqual([]);
  });
});
