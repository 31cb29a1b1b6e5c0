import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../../lib/engine/index.js";
import { loadModelState, readTrainerState, saveCheckpoint } from "../../../lib/trainer/checkpoint.js";
import { pruneCheckpoints, putInPlace, recoverCheckpoints } from "../../../lib/trainer/checkpoint-folder.js";
import type { GrpoTrainerOptions, TrainerCallbacks } from "../../../lib/trainer/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, MODEL, rows, runAll, timeless } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const names = (outputDir: string) => readdirSync(join(outputDir, "checkpoints")).sort();
const options: Partial<GrpoTrainerOptions> = {
  maxSteps: 6,
  saveSteps: 2,
  saveTotalLimit: 3,
  lrSchedulerType: "cosine",
};

/** A run of six steps with checkpoints after 2, 4 and 6. */
const whole = newRun();
let expected: unknown[] = [];
beforeAll(async () => {
  expected = (await runAll(banditRun(await banditEngine(), whole, options))).map(timeless);
});

function copyOfWhole(): string {
  const outputDir = newRun();
  cpSync(whole, outputDir, { recursive: true });
  return outputDir;
}

async function resume(outputDir: string, more: Partial<GrpoTrainerOptions> = {}) {
  const warnings: string[] = [];
  const callbacks: TrainerCallbacks = { onWarning: (message) => void warnings.push(message) };
  const trainer = banditRun(await banditEngine(), outputDir, { ...options, resume: true, callbacks, ...more });
  return { reports: (await runAll(trainer)).map(timeless), warnings, outputDir: trainer.outputDir };
}

describe("a checkpoint that is damaged", () => {
  const at = (outputDir: string, name: string) => checkpointFile(outputDir, 6, name);
  test.each<[string, (outputDir: string) => void, RegExp]>([
    ["without trainer.json", (run) => rmSync(at(run, "trainer.json")), /trainer\.json: there is no such file/],
    ["without its weights", (run) => rmSync(at(run, "model.safetensors")), /model\.safetensors: there is no such file/],
    ["with a cut state", (run) => truncateSync(at(run, "state.safetensors"), 20), /expected \d+ bytes, got 20/],
    ["with a longer tokenizer", (run) => writeFileSync(at(run, "tokenizer.json"), "{}"), /tokenizer\.json: expected/],
    ["with a torn trainer.json", (run) => truncateSync(at(run, "trainer.json"), 99), /not a trainer's state/],
    ["with another trainer.json", (run) => writeFileSync(at(run, "trainer.json"), "{}"), /not a trainer's state/],
    [
      "with a state of the same size that is something else",
      (run) => {
        const path = at(run, "state.safetensors");
        writeFileSync(path, "x".repeat(readFileSync(path).length));
      },
      /is damaged/,
    ],
  ])("%s is named and the one before it taken", async (_, damage, reason) => {
    const outputDir = copyOfWhole();
    damage(outputDir);
    const { reports, warnings } = await resume(outputDir);
    expect(warnings).toEqual([expect.stringMatching(reason)]);
    expect(warnings[0]).toContain("step-000006 cannot be used");
    expect(reports).toEqual(expected.slice(4));
    expect(names(outputDir)).toEqual(names(whole));
    expect(readFileSync(at(outputDir, "state.safetensors"))).toEqual(readFileSync(at(whole, "state.safetensors")));
  });

  test("like all others ends the attempt", async () => {
    const outputDir = copyOfWhole();
    for (const step of [2, 4, 6]) rmSync(checkpointFile(outputDir, step, "trainer.json"));
    await expect(resume(outputDir)).rejects.toMatchObject({ code: "ERR_CHECKPOINT" });
  });
});

describe("a kill in the middle of", () => {
  test("replacing one leaves the old one, which comes back", async () => {
    const outputDir = copyOfWhole();
    const inside = (name: string) => join(outputDir, "checkpoints", name);
    renameSync(inside("step-000006"), inside(".replaced-step-000006"));
    cpSync(inside("step-000004"), inside(".writing-step-000006"), { recursive: true });
    await recoverCheckpoints(outputDir);
    expect(names(outputDir)).toEqual(names(whole));
    expect((await readTrainerState(inside("step-000006"))).step).toBe(6);
  });

  test("replacing one, once the new one has its name, leaves that", async () => {
    const outputDir = copyOfWhole();
    const inside = (name: string) => join(outputDir, "checkpoints", name);
    cpSync(inside("step-000004"), inside(".replaced-step-000006"), { recursive: true });
    expect((await resume(outputDir)).reports).toEqual([]);
    expect(names(outputDir)).toEqual(names(whole));
  });

  test("removing one leaves nothing that looks like one", async () => {
    const outputDir = copyOfWhole();
    mkdirSync(join(outputDir, "checkpoints", ".removed-step-000001"));
    await recoverCheckpoints(outputDir);
    expect(names(outputDir)).toEqual(names(whole));
  });
});

describe("what is kept", () => {
  test("is the newest ones and the best one; later ones of before do not count", async () => {
    const outputDir = newRun();
    for (const step of [1, 2, 3, 4, 9])
      mkdirSync(join(outputDir, "checkpoints", `step-00000${step}`), { recursive: true });
    await pruneCheckpoints(outputDir, { newest: 4, keep: 2, best: 1 });
    expect(names(outputDir)).toEqual(["step-000001", "step-000003", "step-000004", "step-000009"]);
  });

  test("a folder of the same step stays until the new one has its place", async () => {
    const outputDir = newRun();
    const inside = (name: string) => join(outputDir, "checkpoints", name);
    for (const [name, text] of [
      ["step-000001", "old"],
      [".writing-step-000001", "new"],
    ] as const) {
      mkdirSync(inside(name), { recursive: true });
      writeFileSync(join(inside(name), "file"), text);
    }
    await putInPlace(inside(".writing-step-000001"), outputDir, 1);
    expect(names(outputDir)).toEqual(["step-000001"]);
    expect(readFileSync(join(inside("step-000001"), "file"), "utf8")).toBe("new");
  });
});

test.each(["model", "state"] as const)(
  "a full disk while %s is written names the last good one, which stays",
  async (what) => {
    const outputDir = newRun();
    let left = 2;
    const onSave = (args: { what: string }) => {
      if (args.what !== what || --left > 0) return;
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    };
    const run = runAll(banditRun(await banditEngine({ onSave }), outputDir, options));
    await expect(run).rejects.toMatchObject({
      hint: `The last good checkpoint is ${join(outputDir, "checkpoints", "step-000002")}. Free space; --resume goes on from it.`,
    });
    expect(names(outputDir)).toEqual(["step-000002"]);
    expect((await resume(outputDir)).reports).toEqual(expected.slice(2));
  },
);

describe("a run that is told where to go on", () => {
  test("goes back there in its own folder, and sets later checkpoints aside", async () => {
    const outputDir = copyOfWhole();
    const path = join(outputDir, "checkpoints", "step-000002");
    const back = await resume(outputDir, { outputDir: undefined, resume: path });
    expect(back.outputDir).toBe(outputDir);
    expect(back.reports).toEqual(expected.slice(2));
    expect(back.warnings).toEqual([
      "this run goes back to step 2; later checkpoints are now called superseded-step-000004, superseded-step-000006",
    ]);
    expect(names(outputDir)).toEqual([...names(whole), "superseded-step-000004", "superseded-step-000006"]);
    const steps = readFileSync(join(outputDir, "metrics.jsonl"), "utf8").trimEnd().split("\n");
    expect(steps.map((line) => (JSON.parse(line) as { step: number }).step)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("begins a new folder from it where one is named; the old one stays as it is", async () => {
    const [source, outputDir] = [copyOfWhole(), newRun()];
    const path = join(source, "checkpoints", "step-000004");
    const { reports } = await resume(outputDir, { resume: path });
    expect(reports).toEqual(expected.slice(4));
    expect(names(source)).toEqual(names(whole));
    expect(names(outputDir)).toEqual(["step-000004", "step-000006"]);
  });

  test("takes that one or none", async () => {
    const outputDir = copyOfWhole();
    const path = join(outputDir, "checkpoints", "step-000006");
    rmSync(join(path, "trainer.json"));
    await expect(resume(outputDir, { resume: path })).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await expect(resume(outputDir, { resume: join(folder, "nowhere") })).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
    });
  });
});

describe("options that have changed", () => {
  const change = async (more: Partial<GrpoTrainerOptions>) => resume(copyOfWhole(), more);

  test.each<[Partial<GrpoTrainerOptions>, RegExp]>([
    [{ seed: 4 }, /seed 3, now 4/],
    [{ promptsPerStep: 2 }, /prompts_per_step 4, now 2/],
    [{ gradientAccumulationSteps: 2 }, /gradient_accumulation_steps 1, now 2; steps_per_generation 1, now 2/],
    [{ numIterations: 2 }, /num_iterations 1, now 2/],
    [{ optim: "adamw_8bit" }, /optim "adamw", now "adamw_8bit"/],
    [{ shuffleDataset: false }, /shuffle_dataset true, now false/],
    [{ dataset: rows(12) }, /rows 11, now 12/],
  ])("%j are refused where the state would mean something else", async (more, message) => {
    await expect(change(more)).rejects.toMatchObject({ code: "ERR_CONFIG", message: expect.stringMatching(message) });
  });

  test("are told where the run can go on, with other bits", async () => {
    const { warnings } = await change({ learningRate: 0.25, temperature: 0.9, epsilonHigh: 0.3, threads: 1 });
    const told = (text: string) => `${text}: from here on the run is another than it would have been`;
    expect(warnings).toEqual([
      told("learning_rate 0.5, now 0.25"),
      told("temperature 1, now 0.9"),
      told("epsilon_high (none), now 0.3"),
    ]);
  });

  test("are none where a default is written out", async () => {
    expect((await change({ stepsPerGeneration: 1 })).warnings).toEqual([]);
  });
});

test("a run that has done more steps than are asked for is left as it is", async () => {
  const outputDir = copyOfWhole();
  const asked = resume(outputDir, { maxSteps: 5 });
  await expect(asked).rejects.toMatchObject({
    code: "ERR_CONFIG",
    message: "the run has done 6 steps, and was asked for 5",
  });
  expect(names(outputDir)).toEqual(names(whole));
  expect(readFileSync(join(outputDir, "run.json"), "utf8")).toBe(readFileSync(join(whole, "run.json"), "utf8"));
});

test("a checkpoint of version 1 is gone on from", async () => {
  const outputDir = copyOfWhole();
  rmSync(join(outputDir, "checkpoints", "step-000006"), { recursive: true });
  const path = checkpointFile(outputDir, 4, "trainer.json");
  const state = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  const kept = ["objective", "step", "totalSteps", "position", "rows", "train", "trainableParameters", "numTokens"];
  const old = Object.fromEntries([...kept, "seconds", "history"].map((name) => [name, state[name]]));
  writeFileSync(path, JSON.stringify({ version: 1, ...old, seed: 3, promptsPerStep: 4, shuffleDataset: true }));
  const { reports, warnings } = await resume(outputDir);
  expect(warnings).toEqual([]);
  expect(reports).toEqual(expected.slice(4));
  const [now, then] = [outputDir, whole].map((run) => {
    const { seconds, guards, watch, ...rest } = JSON.parse(
      readFileSync(checkpointFile(run, 6, "trainer.json"), "utf8"),
    ) as Record<string, unknown>;
    return rest;
  });
  expect(now).toEqual(then);
});

test("a version 1 checkpoint of another seed is refused", async () => {
  const outputDir = copyOfWhole();
  const path = checkpointFile(outputDir, 6, "trainer.json");
  const { version, options: _, ...state } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  const old = { ...state, version: 1, seed: 9, promptsPerStep: 4, shuffleDataset: true };
  writeFileSync(path, JSON.stringify(old));
  await expect(resume(outputDir)).rejects.toMatchObject({ message: expect.stringContaining("seed 9, now 3") });
});

test("the weights of a reference that follows the policy are in it, and are loaded again", async () => {
  const runFolder = newRun();
  const engine = await banditEngine();
  const model: Model = await engine.loadModel(MODEL, { train: "full" });
  let weights = "moved";
  const reference = {
    logProbs: async () => [],
    dispose: () => {},
    state: {
      save: async (path: string) => writeFileSync(path, weights),
      load: async (path: string) => {
        weights = readFileSync(path, "utf8");
      },
    },
  };
  const state = await readTrainerState(join(whole, "checkpoints", "step-000006"));
  const { path } = await saveCheckpoint({
    ...{ runFolder, model, adapter: undefined, reference, state, dtype: "f32", maxShardBytes: 1e9, keep: 2 },
    ...{ last: undefined, warn: () => {} },
  });
  const written = JSON.parse(readFileSync(join(path, "trainer.json"), "utf8")) as { files: Record<string, number> };
  expect(written.files["reference.safetensors"]).toBe("moved".length);
  weights = "other";
  await loadModelState(path, { model, reference });
  expect(weights).toBe("moved");
  expect(existsSync(join(path, "state.safetensors"))).toBe(true);
});
