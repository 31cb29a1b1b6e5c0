// The native surface itself, as lib/engine/native-types.ts writes it: what it refuses, and that nothing a caller does
// brings the process down.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addonPath, loadAddon } from "../../lib/engine/load.js";
import type {
  LoadModelArgs,
  NativeEngine,
  NativeGroup,
  NativeModel,
  NativePrompt,
} from "../../lib/engine/native-types.js";
import { goldenPath, readTensors } from "../support/golden.js";
import { PLAIN_LOAD } from "../support/load.js";
import { lossArgs, stepArgs } from "../support/loss.js";
import { temporaryFolder } from "../support/temporary.js";

const DIRECTORY = goldenPath("qwen2_5_vl_a");
const LOAD: LoadModelArgs = {
  ...PLAIN_LOAD,
  directory: DIRECTORY,
  train: "full",
};
const PROMPT: NativePrompt = { tokens: Int32Array.of(1, 2, 3, 4), images: [] };
const SAMPLING = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  maxNewTokens: 12,
  stopTokens: [],
};
const GENERATE = {
  prompts: [PROMPT],
  n: 2,
  sampling: SAMPLING,
  seed: 1,
  firstRow: 0,
  adapter: "on" as const,
  maxRows: 0,
};
const STEP = stepArgs(1e-3);
const GROUP: NativeGroup = { prompt: PROMPT, completions: [Int32Array.of(5, 6), Int32Array.of(7)] };
const GRPO = lossArgs({
  kind: "grpo",
  advantages: [Float32Array.of(1, -1)],
  totalSequences: 2,
  totalTokens: 3,
  maxCompletionLength: 2,
});

const folder = temporaryFolder();

const flag = () => new Int32Array(1);
// biome-ignore lint/suspicious/noExplicitAny: what these tests hand over is wrong on purpose
type Wrong = any;

let engine: NativeEngine;
let model: NativeModel;

beforeEach(async () => {
  engine = new (loadAddon().Engine)({ device: "cpu", threads: 2, isa: "" });
  model = await engine.loadModel(LOAD, flag());
});
afterEach(() => engine.dispose());

describe("arguments", () => {
  it.each<[string, Wrong, string]>([
    ["no options", undefined, "Engine: expected an object, got undefined"],
    ["another device", { device: "tpu", threads: 0, isa: "" }, 'device: expected one of "cpu", "cuda", got "tpu"'],
    ["half a thread", { device: "cpu", threads: 0.5, isa: "" }, "threads: expected an integer from 0"],
    ["a number as isa", { device: "cpu", threads: 0, isa: 3 }, "isa: expected a string, got 3"],
  ])("an engine refuses %s", (_, options, message) => {
    const open = () => new (loadAddon().Engine)(options);
    expect(open).toThrowError(
      expect.objectContaining({ code: "ERR_ARGUMENT", message: expect.stringContaining(message) }),
    );
  });

  it.each<[string, Wrong, string, string]>([
    ["no arguments", undefined, "ERR_ARGUMENT", "generate: expected an object, got undefined"],
    ["no prompts", { ...GENERATE, prompts: [] }, "ERR_ARGUMENT", "prompts: expected at least one element"],
    ["a sparse array", { ...GENERATE, prompts: new Array(4e9) }, "ERR_ARGUMENT", "prompts[0]: expected a value"],
    [
      "plain numbers",
      { ...GENERATE, prompts: [{ tokens: [1], images: [] }] },
      "ERR_ARGUMENT",
      "expected an Int32Array",
    ],
    ["a negative id", { ...GENERATE, prompts: [{ tokens: Int32Array.of(-1), images: [] }] }, "ERR_TOKENS", "tokens[0]"],
    ["no completions", { ...GENERATE, n: 0 }, "ERR_ARGUMENT", "n: expected an integer from 1"],
    ["a seed beyond 2^53", { ...GENERATE, seed: 2 ** 53 }, "ERR_ARGUMENT", "seed: expected an integer"],
    ["NaN", { ...GENERATE, sampling: { ...SAMPLING, topP: Number.NaN } }, "ERR_ARGUMENT", "sampling.topP"],
    [
      "too few pixels",
      {
        ...GENERATE,
        prompts: [{ tokens: Int32Array.of(1), images: [{ pixelValues: new Float32Array(5), grid: [1, 2, 2] }] }],
      },
      "ERR_SHAPE",
      "prompts[0].images[0].pixelValues: expected 4 patches of 1176 numbers",
    ],
    [
      "a grid of two sides",
      {
        ...GENERATE,
        prompts: [{ tokens: Int32Array.of(1), images: [{ pixelValues: new Float32Array(5), grid: [2, 2] }] }],
      },
      "ERR_ARGUMENT",
      "expected [t, h, w]",
    ],
  ])("generate refuses %s", async (_, args, code, message) => {
    const running = model.generate(args, null, flag());
    await expect(running).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it.each<[string, Wrong, string, string]>([
    ["another kind", { ...GRPO, kind: "ppo" }, "ERR_ARGUMENT", 'loss.kind: expected one of "grpo"'],
    ["too many advantages", { ...GRPO, advantages: [new Float32Array(3)] }, "ERR_SHAPE", "advantages[0]: expected 2"],
    ["a group too few", { ...GRPO, advantages: [] }, "ERR_SHAPE", "advantages: expected 1 (one per group)"],
    ["beta without a reference", { ...GRPO, beta: 0.1 }, "ERR_ARGUMENT", "refLogProbs: expected log-probabilities"],
    [
      "old log-probabilities of other lengths",
      { ...GRPO, oldLogProbs: [[new Float32Array(2), new Float32Array(2)]] },
      "ERR_SHAPE",
      "oldLogProbs[0][1]: expected 1 (one per token), got 2",
    ],
    ["a mask of numbers", { ...GRPO, mask: [[1, 1]] }, "ERR_ARGUMENT", "mask[0]: expected a Uint8Array, got an array"],
  ])("accumulate refuses %s", async (_, loss, code, message) => {
    const running = model.accumulate({ groups: [GROUP], loss, dropoutSeed: 0 }, flag());
    await expect(running).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it.each<[string, Wrong]>([
    ["nothing", undefined],
    ["a signal", new AbortController().signal],
    ["an empty array", new Int32Array()],
    ["a Uint32Array", new Uint32Array(1)],
  ])("the abort flag is not %s", async (_, abort) => {
    const message = expect.stringContaining("abort: expected an Int32Array(1)");
    await expect(model.zeroGradients(abort)).rejects.toMatchObject({ code: "ERR_ARGUMENT", message });
  });

  it("hands on what a getter throws", async () => {
    const mine = new RangeError("mine");
    const args = Object.defineProperty({}, "groups", {
      get: () => {
        throw mine;
      },
    });
    await expect(model.logProbs(args as Wrong, flag())).rejects.toBe(mine);
  });

  it("methods only take objects of their class", () => {
    const { memory } = Object.getPrototypeOf(engine) as NativeEngine;
    expect(() => memory.call(model as Wrong)).toThrow(TypeError);
    const ModelClass = model.constructor as new (contents?: unknown) => NativeModel;
    expect(() => new ModelClass()).toThrow("made by Engine.loadModel() only");
    expect(() => new ModelClass({})).toThrow("made by Engine.loadModel() only");
  });
});

describe("verbs", () => {
  it("score a rollout with the bits that it was sampled with", async () => {
    const [completions = []] = await model.generate(GENERATE, null, flag());
    const groups = [{ prompt: PROMPT, completions: completions.map(({ tokens }) => tokens) }];
    const [scores = []] = await model.logProbs({ groups, temperature: 1, adapter: "on" }, flag());
    expect(scores.map(({ logProbs }) => logProbs)).toEqual(completions.map(({ logProbs }) => logProbs));
    const loss = { kind: "sft", totalTokens: 24 } as const;
    const { logProbs } = await model.accumulate({ groups, loss, dropoutSeed: 0 }, flag());
    expect(logProbs[0]).toEqual(completions.map((completion) => completion.logProbs));
  });

  it("take up training from a saved state, bit for bit", async () => {
    const train = async (trained: NativeModel) => {
      await trained.accumulate({ groups: [GROUP], loss: GRPO, dropoutSeed: 0 }, flag());
      return trained.step(STEP, flag());
    };
    await train(model);
    await model.save({ path: join(folder, "state"), what: "state", dtype: "f32", maxShardBytes: 1e9 }, flag());
    const resumed = await engine.loadModel(LOAD, flag());
    await resumed.loadState({ path: join(folder, "state") }, flag());
    expect(await train(resumed)).toEqual(await train(model));
    const saved = async (one: NativeModel, name: string) => {
      await one.save({ path: join(folder, name), what: "model", dtype: "f32", maxShardBytes: 1e5 }, flag());
      return readdirSync(join(folder, name)).map((file) => readFileSync(join(folder, name, file)));
    };
    expect(await saved(resumed, "resumed")).toEqual(await saved(model, "straight"));
  });

  it("make a model whose bytes the seed decides", async () => {
    const config = readFileSync(join(DIRECTORY, "config.json"), "utf8");
    const make = async (name: string, seed: number) => {
      const directory = join(folder, name);
      await engine.initModel({ config, directory, seed, dtype: "bf16", maxShardBytes: 1e9 }, flag());
      return readFileSync(join(folder, name, "model.safetensors"));
    };
    const first = await make("a", 1);
    expect(await make("b", 1)).toEqual(first);
    expect(await make("c", 2)).not.toEqual(first);
  });

  it("write gradients under the checkpoint's names and shapes", async () => {
    const path = join(folder, "gradients.safetensors");
    await model.accumulate({ groups: [GROUP], loss: { kind: "sft", totalTokens: 3 }, dropoutSeed: 0 }, flag());
    await model.save({ path, what: "gradients", dtype: "f32", maxShardBytes: 1e9 }, flag());
    const shapes = (file: string) => new Map([...readTensors(file)].map(([name, { shape }]) => [name, shape]));
    expect(shapes(path)).toEqual(shapes(join(DIRECTORY, "model.safetensors")));
  });

  it("need a model that was loaded for training", async () => {
    const frozen = await engine.loadModel({ ...LOAD, train: "none" }, flag());
    const state = { code: "ERR_STATE" };
    await expect(frozen.accumulate({ groups: [GROUP], loss: GRPO, dropoutSeed: 0 }, flag())).rejects.toMatchObject(
      state,
    );
    await expect(frozen.step(STEP, flag())).rejects.toMatchObject(state);
  });

  it("end with what the progress function throws", async () => {
    const mine = new RangeError("mine");
    const running = model.generate(
      { ...GENERATE, n: 64, sampling: { ...SAMPLING, maxNewTokens: 400 } },
      () => {
        throw mine;
      },
      flag(),
    );
    await expect(running).rejects.toBe(mine);
  });

  it("keep to the order of the calls, and go on after a failure", async () => {
    const order: string[] = [];
    const note = (name: string) => () => order.push(name);
    await Promise.all([
      model.generate(GENERATE, null, flag()).then(note("generate")),
      engine.loadModel({ ...LOAD, directory: "/nowhere" }, flag()).catch(note("load")),
      model.zeroGradients(Int32Array.of(1)).catch(note("aborted")),
      model.logProbs({ groups: [GROUP], temperature: 1, adapter: "on" }, flag()).then(note("score")),
    ]);
    expect(order).toEqual(["generate", "load", "aborted", "score"]);
  });
});

describe("the end", () => {
  it("disposed objects say so", async () => {
    const state = expect.objectContaining({ code: "ERR_STATE" });
    const before = engine.memory().used;
    model.dispose();
    model.dispose();
    await expect(model.zeroGradients(flag())).rejects.toEqual(state);
    expect(() => model.info()).toThrowError(state);
    model = await engine.loadModel(LOAD, flag());
    expect(engine.memory().used).toBe(before);
    engine.dispose();
    engine.dispose();
    expect(() => engine.memory()).toThrowError(state);
    await expect(engine.loadModel(LOAD, flag())).rejects.toEqual(state);
    await expect(model.zeroGradients(flag())).rejects.toEqual(state);
  });

  it.each([
    ["leaves an idle engine to the process's end", "await work(10);", 0],
    ["exits in the middle of a verb", "work(500, 64); work(10); setTimeout(() => process.exit(7), 50);", 7],
    ["forgets everything it has", "for (let i = 0; i < 20; i++) { await work(3); load(); global.gc(); }", 0],
    [
      "loses its engine to the collector while a verb runs",
      "const p = work(50); global.gc(); await p; global.gc();",
      0,
    ],
  ])("a process %s", async (_, body, code) => {
    const run = promisify(execFile)(process.execPath, ["--expose-gc", "--input-type=module", "-e", script(body)]);
    const outcome = await run.then(
      () => 0,
      (error: { code: number }) => error.code,
    );
    expect(outcome).toBe(code);
  });

  it("a worker may be terminated in the middle of a verb", async () => {
    const body = `await work(3); (await import("node:worker_threads")).parentPort.postMessage(1); await work(500, 64);`;
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script(body))}`));
      await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
      expect(await worker.terminate()).toBe(1);
    }
    expect((await model.generate(GENERATE, null, flag())).length).toBe(1);
  });
});

/** A module that works with an engine of its own: `work(tokens, n)` generates. */
function script(body: string): string {
  return `
    import { createRequire } from "node:module";
    const addon = createRequire(${JSON.stringify(import.meta.url)})(${JSON.stringify(addonPath())});
    const load = () => {
      const engine = new addon.Engine({ device: "cpu", threads: 2, isa: "" });
      return engine.loadModel(${JSON.stringify(LOAD)}, new Int32Array(1));
    };
    const work = async (maxNewTokens, n = 1) => {
      const model = await load();
      const prompt = { tokens: Int32Array.of(1, 2, 3), images: [] };
      const sampling = { ...${JSON.stringify(SAMPLING)}, maxNewTokens };
      const args = { prompts: [prompt], n, sampling, seed: 1, firstRow: 0, adapter: "on", maxRows: 0 };
      await model.generate(args, () => {}, new Int32Array(1));
    };
    ${body}`;
}
