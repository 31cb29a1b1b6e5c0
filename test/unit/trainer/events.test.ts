import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { VlmR1Error } from "../../../lib/errors/index.js";
import { RunEvents } from "../../../lib/trainer/events.js";
import type { RolloutReport, RunControl, TrainerCallbacks } from "../../../lib/trainer/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, rows, runAll, timeless } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const statusOf = (outputDir: string) =>
  JSON.parse(readFileSync(join(outputDir, "run.json"), "utf8")) as Record<string, unknown>;

describe("what is told", () => {
  test("comes in one order to reporters, callbacks and listeners, each awaited", async () => {
    const said: string[] = [];
    const slowly = async (text: string) => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      said.push(text);
    };
    const callbacks: TrainerCallbacks = {
      onStart: ({ totalSteps }) => slowly(`start ${totalSteps}`),
      onRollout: ({ step, groups }) => slowly(`rollout ${step}: ${groups.map(({ completions: c }) => c.length)}`),
      onStep: ({ step }) => slowly(`step ${step}`),
      onEval: ({ step, best }) => slowly(`eval ${step} ${best}`),
      onCheckpoint: ({ step, best }) => slowly(`checkpoint ${step} ${best}`),
      onEnd: ({ status }) => slowly(`end ${status}`),
      onClose: () => slowly("close"),
    };
    const reporters = [{ onStep: () => slowly("reporter") }];
    const options = { maxSteps: 2, evalSteps: 1, evalDataset: rows(2), callbacks, reporters, rewards: [() => 1] };
    const trainer = banditRun(await banditEngine(), newRun(), options);
    trainer.on("step", () => slowly("listener"));
    await runAll(trainer);
    await trainer.dispose();
    expect(said).toEqual([
      ...["start 2", "rollout 1: 4,4,4,4", "reporter", "step 1", "listener", "eval 1 true", "checkpoint 1 true"],
      ...["rollout 2: 4,4,4,4", "reporter", "step 2", "listener", "eval 2 false", "checkpoint 2 false"],
      ...["end finished", "close"],
    ]);
  });

  test("shows a rollout's rewards before anything is learned from it", async () => {
    const verbs: string[] = [];
    const seen: RolloutReport[] = [];
    const engine = await banditEngine({ onVerb: (verb) => verbs.push(verb) });
    const onRollout = (rollout: RolloutReport) => {
      verbs.push("rollout");
      seen.push(rollout);
    };
    const [report] = await runAll(banditRun(engine, newRun(), { maxSteps: 1, callbacks: { onRollout } }));
    expect(verbs.slice(0, 3)).toEqual(["generate", "rollout", "accumulate"]);
    expect(seen[0]?.groups.flatMap(({ completions }) => completions)).toEqual(report?.completions);
    expect(seen[0]?.metrics.reward).toBe(report?.metrics.reward);
    for (const { id, completions } of seen[0]?.groups ?? []) {
      expect(completions.map((completion) => completion.id)).toEqual([id, id, id, id]);
    }
  });

  test("to a listener can be taken back, or be for once; an unknown name is refused", async () => {
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 3 });
    const said: string[] = [];
    const all = ({ step }: { step: number }) => void said.push(`all ${step}`);
    trainer.on("step", all).once("step", ({ step }) => {
      said.push(`once ${step}`);
      trainer.off("step", all);
    });
    const never = () => void said.push("never");
    trainer.once("step", never).off("step", never);
    await runAll(trainer);
    // A list that is being gone through stays as it is.
    expect(said).toEqual(["all 1", "once 1"]);
    expect(() => trainer.on("steps" as "step", all)).toThrow(/there is no event "steps"; there are .*step, eval/);
  });
});

describe("what is thrown", () => {
  test("by a listener is a warning, and changes nothing", async () => {
    const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 2 }));
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 2 });
    const warnings: string[] = [];
    const fail = () => {
      throw new TypeError("no such thing");
    };
    trainer.on("warning", fail);
    trainer.on("warning", (message) => void warnings.push(message));
    trainer.on("step", fail);
    trainer.on("progress", fail);
    trainer.on("rollout", async () => fail());
    const reports = await runAll(trainer);
    expect(reports.map(timeless)).toEqual(expected.map(timeless));
    const threw = (what: string) => warnings.filter((text) => text.startsWith(`the listener of "${what}" threw`));
    expect(threw("step")).toEqual(Array(2).fill('the listener of "step" threw: TypeError: no such thing'));
    expect(threw("rollout")).toHaveLength(2);
    // These would fail without end.
    expect(threw("progress")).toEqual([expect.stringContaining("it is not called any more")]);
    expect(threw("warning")).toHaveLength(1);
  });

  test.each(["onRollout", "onStep"] as const)(
    "by %s ends the run behind a checkpoint; it goes on from there",
    async (name) => {
      const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 4 }));
      const outputDir = newRun();
      const callbacks: TrainerCallbacks = {
        [name]: ({ step }: { step: number }) => {
          if (step === 3) throw new RangeError("three");
        },
      };
      const failing = runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 4, callbacks }));
      await expect(failing).rejects.toMatchObject({
        code: "ERR_CALLBACK",
        message: `the callback ${name} threw: RangeError: three`,
        hint: expect.stringContaining("--resume"),
      });
      const done = name === "onStep" ? 3 : 2;
      const reason = `the callback ${name} threw: RangeError: three`;
      expect(statusOf(outputDir)).toEqual({ status: "failed", step: done, totalSteps: 4, reason });
      const rest = await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 4, resume: true }));
      expect(rest.map(timeless)).toEqual(expected.slice(done).map(timeless));
    },
  );

  test("by what speaks for itself is thrown as it is, such as an error of this package", async () => {
    const error = new VlmR1Error("ERR_IO", "cannot write", {});
    const events = new RunEvents();
    events.addCallbacks({ onStep: () => Promise.reject(error) }, {} as RunControl);
    await expect(events.emit("step", {} as never)).rejects.toBe(error);
  });
});

describe("a run that is steered", () => {
  test("stops after the step at hand behind a checkpoint, and goes on bit for bit", async () => {
    const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 5 }));
    const outputDir = newRun();
    const ends: unknown[] = [];
    const callbacks: TrainerCallbacks = {
      onRollout: ({ step }, run) => {
        if (step === 2) run.stop("seen enough");
      },
      onEnd: (end) => void ends.push(end),
    };
    const first = await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 5, callbacks }));
    expect(first).toHaveLength(2);
    const reason = "seen enough";
    expect(statusOf(outputDir)).toEqual({ status: "interrupted", step: 2, totalSteps: 5, reason });
    expect(ends).toEqual([expect.objectContaining({ status: "interrupted", step: 2, reason })]);
    const rest = await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 5, resume: true }));
    expect([...first, ...rest].map(timeless)).toEqual(expected.map(timeless));
  });

  test("leaves a checkpoint where its loop is left", async () => {
    const outputDir = newRun();
    for await (const { step } of banditRun(await banditEngine(), outputDir).run()) if (step === 3) break;
    expect(existsSync(checkpointFile(outputDir, 3, "trainer.json"))).toBe(true);
    expect(statusOf(outputDir)).toMatchObject({ status: "interrupted", step: 3 });
  });

  test("saves when it is asked to: in callbacks at once, from outside after the step at hand", async () => {
    const outputDir = newRun();
    const saved: (string | undefined)[] = [];
    let outside: Promise<string | undefined> | undefined;
    const onVerb = (verb: string) => {
      if (verb === "accumulate") outside ??= trainer.saveCheckpoint();
    };
    const callbacks: TrainerCallbacks = {
      onStart: async (_, run) => void saved.push(await run.saveCheckpoint()),
      onRollout: async ({ step }, run) => {
        if (step === 3) saved.push(await run.saveCheckpoint());
      },
      onStep: async ({ step }, run) => {
        if (step === 4) saved.push(await run.saveCheckpoint());
      },
    };
    const engine = await banditEngine({ onVerb });
    const options = { maxSteps: 6, saveTotalLimit: 9, callbacks };
    const trainer = banditRun(engine, outputDir, options);
    const expected = await runAll(banditRun(await banditEngine(), newRun(), { maxSteps: 6 }));
    expect((await runAll(trainer)).map(timeless)).toEqual(expected.map(timeless));
    const at = (step: number) => join(outputDir, "checkpoints", `step-00000${step}`);
    expect(saved).toEqual([undefined, at(2), at(4)]);
    expect(await outside).toBe(at(1));
    for (const step of [1, 2, 4, 6]) expect(existsSync(at(step))).toBe(true);
  });
});
