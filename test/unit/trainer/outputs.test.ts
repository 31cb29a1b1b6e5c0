import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { fromSystem } from "../../../lib/errors/index.js";
import type { StepReport } from "../../../lib/report/index.js";
import type { GrpoTrainerOptions } from "../../../lib/trainer/index.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, MODEL, runAll } from "../../support/training.js";

const folder = temporaryFolder();
let made = 0;
const Q1 = "model.language_model.layers.1.self_attn.q_proj";
const newFolder = () => join(folder, `made-${made++}`);
const lora = { usePeft: true, loraR: 4, loraTargetModules: ["q_proj", "v_proj"] };

const run = async (outputDir: string, options: Partial<GrpoTrainerOptions> = {}) =>
  runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 1, ...options }));

describe("replacing an earlier run", () => {
  test("does not remove the checkpoint that the new one starts from, however it is named", async () => {
    const outputDir = newFolder();
    await run(outputDir, lora);
    const kept = (name: string) => join(outputDir, "checkpoints", name);
    const adapter = writeAdapter(kept("adapter"), pair(Q1, 48, 48, 4), { base_model_name_or_path: MODEL });
    cpSync(MODEL, kept("model"), { recursive: true });
    const elsewhere = writeAdapter(newFolder(), pair(Q1, 48, 48, 4), { base_model_name_or_path: kept("model") });
    for (const start of [{ adapter }, { model: adapter }, { model: kept("model") }, { model: elsewhere }]) {
      await expect(run(outputDir, { ...start, overwriteOutputDir: true })).rejects.toMatchObject({
        code: "ERR_CONFIG",
        message: expect.stringContaining(
          `this run starts from ${start.model === elsewhere ? kept("model") : kept("")}`,
        ),
        hint: "Choose another --output-dir.",
      });
    }
    expect(readdirSync(kept(""))).toEqual(["adapter", "model", "step-000001"]);
  });

  test("waits until the new one's options are known to be right", async () => {
    const outputDir = newFolder();
    await run(outputDir);
    for (const wrong of [{ dataset: "nowhere.json" }, { freezePatterns: "visua" }, { rewards: ["conten"] }]) {
      await expect(run(outputDir, { ...wrong, overwriteOutputDir: true })).rejects.toThrow();
    }
    expect(existsSync(checkpointFile(outputDir, 1, "model.safetensors"))).toBe(true);
    await run(outputDir, { maxSteps: 2, overwriteOutputDir: true });
    expect(readdirSync(join(outputDir, "checkpoints"))).toEqual(["step-000002"]);
  });
});

describe("going on", () => {
  test("is refused with another scale of the adapter, which the state does not show", async () => {
    const outputDir = newFolder();
    await run(outputDir, lora);
    for (const [change, message] of [
      [{ loraAlpha: 8 }, "lora_alpha 32, now 8"],
      [{ useRslora: true }, "use_rslora false, now true"],
    ] as const) {
      await expect(run(outputDir, { ...lora, ...change, maxSteps: 2, resume: true })).rejects.toMatchObject({
        code: "ERR_CONFIG",
        message: expect.stringContaining(message),
        hint: expect.stringContaining(`--config ${join(outputDir, "config.yaml")} --resume`),
      });
    }
    expect(await run(outputDir, { ...lora, maxSteps: 2, resume: true })).toHaveLength(1);
  });

  test("with another model is warned of once: what is not trained comes from it", async () => {
    const outputDir = newFolder();
    const model = newFolder();
    cpSync(MODEL, model, { recursive: true });
    await run(outputDir, { ...lora, lrSchedulerType: "constant" });
    const warnings: string[] = [];
    const reporters = [{ onWarning: (message: string) => void warnings.push(message) }];
    await run(outputDir, {
      ...lora,
      lrSchedulerType: "constant",
      model: `${MODEL}/.`,
      maxSteps: 2,
      resume: true,
      reporters,
    });
    expect(warnings).toEqual([]);
    for (const maxSteps of [3, 4])
      await run(outputDir, { ...lora, lrSchedulerType: "constant", model, maxSteps, resume: true, reporters });
    expect(warnings).toEqual([
      `this run began with the model ${MODEL}/., and goes on with ${model}: they must have the same weights`,
    ]);
  });

  test("takes an @ in a folder's name for what it is", async () => {
    const outputDir = newFolder();
    const model = join(newFolder(), "mine@home");
    cpSync(MODEL, model, { recursive: true });
    const warnings: string[] = [];
    const reporters = [{ onWarning: (message: string) => void warnings.push(message) }];
    await run(outputDir, { ...lora, model });
    await run(outputDir, { ...lora, model, maxSteps: 2, resume: true, reporters });
    expect(warnings).toEqual([]);
  });

  test("leaves the options that it went on with in config.yaml, and not those that were refused", async () => {
    const outputDir = newFolder();
    const config = () => parse(readFileSync(join(outputDir, "config.yaml"), "utf8")) as Record<string, unknown>;
    await run(outputDir);
    await expect(run(outputDir, { maxSteps: 5, seed: 8, resume: true })).rejects.toThrow();
    expect(config()).toMatchObject({ max_steps: 1, seed: 3 });
    await run(outputDir, { maxSteps: 3, resume: true });
    expect(config()).toMatchObject({ max_steps: 3, seed: 3 });
  });
});

describe("what a run is to save at its end", () => {
  test("is saved by the run itself", async () => {
    const [saveModelTo, saveMergedTo] = [newFolder(), newFolder()];
    await run(newFolder(), { ...lora, saveModelTo, saveMergedTo });
    expect(existsSync(join(saveModelTo, "adapter_config.json"))).toBe(true);
    expect(readFileSync(join(saveMergedTo, "model.safetensors"), "utf8")).toContain("merged");
  });

  test("is looked at before the first step", async () => {
    const filled = (name: string) => {
      const path = newFolder();
      mkdirSync(path);
      writeFileSync(join(path, name), "{}");
      return path;
    };
    const file = newFolder();
    writeFileSync(file, "");
    // A copy, for the day on which this is not refused.
    const model = newFolder();
    cpSync(MODEL, model, { recursive: true });
    const steps: StepReport[] = [];
    const reporters = [{ onStep: (step: StepReport) => void steps.push(step) }];
    for (const [options, message] of [
      [{ model, saveModelTo: model }, "the folder that the model was loaded from"],
      [{ saveModelTo: filled("adapter_config.json") }, "holds an adapter"],
      [{ saveModelTo: file }, "not a folder"],
      [{ saveModelTo: join(file, "below") }, "not a folder"],
      [{ ...lora, model, saveMergedTo: `${model}/.` }, "the folder that the model was loaded from"],
      [{ ...lora, saveModelTo: filled("config.json") }, "holds a model"],
    ] as const) {
      await expect(run(newFolder(), { ...options, reporters })).rejects.toThrow(message);
    }
    expect(steps).toEqual([]);
    const unfinished = newFolder();
    mkdirSync(join(folder, `.writing-${unfinished.slice(folder.length + 1)}`, "left"), { recursive: true });
    await run(newFolder(), { saveModelTo: unfinished });
    expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
  });
});

test("a checkpoint that cannot be written leaves nothing of it behind, and says how to go on", async () => {
  const outputDir = newFolder();
  const onSave = ({ what, path }: { what: string; path: string }) => {
    if (what !== "state" || !path.includes("step-000002")) return;
    throw Object.assign(new Error("no space left on device"), { code: "ERR_IO" });
  };
  const trainer = banditRun(await banditEngine({ onSave }), outputDir, { maxSteps: 3, saveSteps: 1 });
  await expect(runAll(trainer)).rejects.toMatchObject({
    code: "ERR_IO",
    message: "no space left on device",
    hint: expect.stringContaining("--resume"),
  });
  expect(readdirSync(join(outputDir, "checkpoints"))).toEqual(["step-000001"]);
});

test("a run that fails says why, also where its folder takes no more files", async () => {
  const outputDir = newFolder();
  const warnings: string[] = [];
  const onStep = ({ step }: StepReport) => {
    if (step !== 2) return;
    // As on a full disk: neither the metrics of the next step nor the run's state can be written.
    for (const name of ["metrics.jsonl", "run.json"]) {
      rmSync(join(outputDir, name));
      mkdirSync(join(outputDir, name, "in-the-way"), { recursive: true });
    }
  };
  const reporters = [{ onStep, onWarning: (message: string) => void warnings.push(message) }];
  await expect(run(outputDir, { maxSteps: 4, reporters })).rejects.toMatchObject({
    code: "ERR_IO",
    message: expect.stringContaining("metrics.jsonl"),
    hint: expect.stringContaining("--resume"),
  });
  expect(warnings).toEqual([expect.stringContaining("run.json")]);
  expect(readdirSync(outputDir).filter((name) => name.startsWith("."))).toEqual([]);
});

test("a folder that cannot be made is not said to be missing", () => {
  const error = (code: string, syscall: string) => Object.assign(new Error(code), { code, syscall });
  expect(fromSystem(error("ENOENT", "mkdir"), "make", "x")).toMatchObject({
    code: "ERR_IO",
    message: expect.stringContaining("read-only"),
  });
  expect(fromSystem(error("EROFS", "open"), "write", "x").message).toBe("cannot write x: the file system is read-only");
  expect(fromSystem(error("ENOENT", "open"), "read", "x").code).toBe("ERR_NOT_FOUND");
});
