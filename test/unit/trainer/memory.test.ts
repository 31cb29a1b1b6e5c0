import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../../lib/config/index.js";
import { grpoSchema } from "../../../lib/config/train-schema.js";
import { Engine, type EstimateArgs } from "../../../lib/engine/index.js";
import { Processor } from "../../../lib/processing/index.js";
import { estimatedModel, estimatedPreset } from "../../../lib/trainer/estimated-model.js";
import { Trainer } from "../../../lib/trainer/index.js";
import { type EstimatedConfig, type EstimatedRun, estimateMemory } from "../../../lib/trainer/memory-estimate.js";
import { adviseOn, LARGEST_GROUP, largestGroup } from "../../../lib/trainer/memory-fit.js";
import { planMemory } from "../../../lib/trainer/memory-plan.js";
import { longestPrompts, measureRows, shapeOf } from "../../../lib/trainer/prompt-sizes.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { temporaryFolder } from "../../support/temporary.js";
import { MODEL, rows } from "../../support/training.js";

const folder = temporaryFolder();

const config: EstimatedConfig = {
  freezeVisionModules: false,
  precision: "auto",
  gradientCheckpointing: true,
  optim: "adamw",
  stochasticRounding: false,
  numGenerations: 4,
  maxCompletionLength: 16,
  promptsPerStep: 3,
  gradientAccumulationSteps: 1,
  maxTokensPerMicrobatch: 200,
  beta: 0,
  refPrecision: "auto",
  syncRefModel: false,
  valSplitRatio: 0,
  evalBatchSize: 5,
  maxNumSeqs: 7,
};

async function open(more: Partial<EstimatedRun> = {}) {
  const addon = fakeAddon();
  const engine = await Engine.open({ addon });
  const model = await estimatedModel(engine, { directory: MODEL, adapter: undefined });
  const prompts = [20, 60, 40].map((textTokens) => ({ textTokens, pictures: [] }));
  const run: EstimatedRun = { ...model, prompts, rows: 11, processBytes: 5000, ...more };
  const asked = () => addon.calls.filter(({ verb }) => verb === "estimate").map(({ args }) => args as EstimateArgs);
  return { engine, run, asked };
}

describe("an estimate", () => {
  it("asks for the longest prompts, in the micro-batches that a run packs", async () => {
    const { engine, run, asked } = await open();
    const estimate = await estimateMemory(engine, run, config);
    const [args] = asked();
    expect(args?.prompts.map(({ tokens }) => tokens)).toEqual([60, 40, 20]);
    // 60 + 64, 40 + 64 and 20 + 64 tokens: two groups of 104 and 84 go together.
    expect(args?.microBatches).toEqual([[0], [1, 2]]);
    expect(args).toMatchObject({
      train: "full",
      lora: null,
      reference: "none",
      maxRows: 7,
      evaluated: 0,
      earlierSteps: 3,
      storedDtype: "f32",
    });
    expect(estimate).toMatchObject({
      largestPhase: "train",
      kept: 500,
      process: 5000 + 4 * 100,
      peak: 1e9 + 188e6 + 500 + 5400,
      microBatches: 2,
    });
    expect(estimate.phases.map(({ total }) => total)).toEqual([1e9, 1_188e6]);
  });

  it("samples the questions of a rollout at once, and packs those of each update for themselves", async () => {
    const { engine, run, asked } = await open();
    const small = { ...config, promptsPerStep: 1, maxTokensPerMicrobatch: 1000 };
    const estimates = [
      await estimateMemory(engine, run, { ...small, gradientAccumulationSteps: 3 }),
      await estimateMemory(engine, run, { ...small, gradientAccumulationSteps: 2, stepsPerGeneration: 6 }),
      // A rollout is enlarged to the update that is made of it.
      await estimateMemory(engine, run, { ...small, gradientAccumulationSteps: 3, stepsPerGeneration: 1 }),
    ];
    const [once, thrice, enlarged] = asked();
    expect(once?.prompts.map(({ tokens }) => tokens)).toEqual([60, 40, 20]);
    expect(once?.microBatches).toEqual([[0, 1, 2]]);
    expect(thrice?.prompts.map(({ tokens }) => tokens)).toEqual([60, 40, 20, 60, 40, 20]);
    expect(thrice?.microBatches).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
    // Of 11 rows, 6 at a time.
    expect(thrice?.earlierSteps).toBe(1);
    expect(enlarged).toEqual(once);
    expect(estimates.map(({ updatesPerRollout }) => updatesPerRollout)).toEqual([1, 3, 1]);
    const crooked = estimateMemory(engine, run, { ...small, gradientAccumulationSteps: 2, stepsPerGeneration: 3 });
    await expect(crooked).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringMatching(/steps_per_generation: .*got 3/),
    });
  });

  it("follows what is trained, the reference and the held-out data", async () => {
    const { engine, run, asked } = await open();
    await estimateMemory(engine, run, { ...config, beta: 0.1, evalDataset: "test.json" });
    await estimateMemory(engine, run, { ...config, beta: 0.1, usePeft: true, loraR: 2, loraTargetModules: "q_proj" });
    const [full, lora] = asked();
    expect(full).toMatchObject({ reference: "copy", evaluated: 20, evaluatedRows: 5 });
    expect(lora).toMatchObject({ train: "lora", reference: "same", lora: { keepStart: false } });
    expect(lora?.lora?.modules[0]).toMatchObject({ rank: 2 });
  });

  it("follows the optimizer, and the reference's own type and whether it follows", async () => {
    const { engine, run, asked } = await open();
    const small = { optim: "adamw_8bit", precision: "bf16", stochasticRounding: true } as const;
    await estimateMemory(engine, run, { ...config, ...small, beta: 0.1, syncRefModel: true });
    await estimateMemory(engine, run, { ...config, beta: 0.1, refPrecision: "f32" });
    const [first, second] = asked();
    expect(first).toMatchObject({ moments: "int8", stochasticRounding: true, writable: false });
    expect(first).toMatchObject({ referencePrecision: "bf16", referenceWritable: true });
    expect(second).toMatchObject({ moments: "f32", referencePrecision: "f32", referenceWritable: false });
  });

  it("keeps the start of an adapter that is there, where it is compared with", async () => {
    const adapter = writeAdapter(join(folder, "adapter"), pair("model.layers.0.self_attn.q_proj", 48, 48, 4));
    const { engine, run, asked } = await open();
    const stored = await estimatedModel(engine, { directory: MODEL, adapter });
    await estimateMemory(engine, { ...run, ...stored }, { ...config, beta: 0.1, adapter });
    await estimateMemory(engine, { ...run, ...stored }, { ...config, adapter });
    expect(asked().map(({ lora }) => [lora?.modules.length, lora?.keepStart])).toEqual([
      [1, true],
      [1, false],
    ]);
  });

  it("leaves out prompts that max_prompt_length does, and says so where all are", async () => {
    const { engine, run, asked } = await open();
    await estimateMemory(engine, run, { ...config, maxPromptLength: 40 });
    await estimateMemory(engine, run, { ...config, maxPromptLength: 1000, maxCompletionLength: 512 - 45 });
    for (const { prompts } of asked()) expect(prompts.map(({ tokens }) => tokens)).toEqual([40, 20, 40]);
    await expect(estimateMemory(engine, run, { ...config, maxPromptLength: 19 })).rejects.toMatchObject({
      code: "ERR_DATA",
      message: "max_prompt_length takes prompts of at most 19 tokens, got 20 tokens in the shortest",
    });
  });

  it("counts the answers of a held-out split", async () => {
    const { engine, run, asked } = await open();
    await estimateMemory(engine, run, { ...config, valSplitRatio: 0.1 });
    expect(asked()[0]).toMatchObject({ evaluated: 20, evaluatedRows: 5 });
  });

  it("leaves out prompts that the model has no room for, and says so where all are", async () => {
    const { engine, run, asked } = await open();
    await estimateMemory(engine, run, { ...config, maxCompletionLength: 512 - 45 });
    expect(asked()[0]?.prompts.map(({ tokens }) => tokens)).toEqual([40, 20, 40]);
    const none = estimateMemory(engine, run, { ...config, maxCompletionLength: 500 });
    await expect(none).rejects.toMatchObject({ code: "ERR_DATA", message: expect.stringMatching(/room.*12.*20/) });
  });

  it("knows presets without a folder", async () => {
    const { engine } = await open();
    const preset = estimatedPreset(engine, "qwen2.5-vl-3b");
    expect(JSON.parse(preset.modelConfig)).toMatchObject({ hidden_size: 2048, image_token_id: 151655 });
    expect(preset.storedDtype).toBe("bf16");
  });
});

describe("prompt sizes", () => {
  it("are those of the prompts that the processor makes", async () => {
    const { engine, run } = await open();
    const processor = await Processor.load(MODEL, engine);
    const messages = [
      { role: "user" as const, content: [{ type: "image" as const }, { type: "text" as const, text: "what?" }] },
    ];
    for (const name of ["square.png", "turned.jpg", "alpha.png"]) {
      const image = goldenPath(`images/${name}`);
      const prompt = await processor.prompt(messages, [image]);
      const shape = shapeOf(await processor.measure(messages, [image]), run.description.info, processor.imageSettings);
      expect(shape).toEqual({ tokens: prompt.tokens.length, grids: prompt.images.map(({ grid }) => grid) });
    }
  });

  it("are looked at evenly, up to a limit, and bad rows left out", async () => {
    const { engine } = await open();
    const processor = await Processor.load(MODEL, engine);
    const many = rows(40).map((row, i) => ({ ...row, messages: [{ role: "user" as const, content: "a".repeat(i) }] }));
    const all = await measureRows(processor, many, { promptSuffix: "", limit: 100 });
    expect([all.looked, all.rows, all.sizes.length]).toEqual([40, 40, 40]);
    const some = await measureRows(processor, many, { promptSuffix: "", limit: 4 });
    expect(some.looked).toBe(4);
    expect(some.sizes).toEqual([0, 10, 20, 30].map((i) => all.sizes[i]));
    const [long] = (await measureRows(processor, many, { promptSuffix: " and why?", limit: 1 })).sizes;
    expect(long?.textTokens).toBeGreaterThan(all.sizes[0]?.textTokens as number);
    const bad = {
      ...(many[0] as (typeof many)[0]),
      messages: [{ role: "user" as const, content: [{ type: "image" as const }] }],
      images: ["gone.png"],
    };
    expect((await measureRows(processor, [bad], { promptSuffix: "", limit: 4 })).sizes).toEqual([]);
  });

  it("take the longest, again where there are fewer than a step has", () => {
    const shapes = [3, 9, 5].map((tokens) => ({ tokens, grids: [] }));
    expect(longestPrompts(shapes, 2, 100).map(({ tokens }) => tokens)).toEqual([9, 5]);
    expect(longestPrompts(shapes, 4, 8).map(({ tokens }) => tokens)).toEqual([5, 3, 5, 3]);
    expect(longestPrompts(shapes, 4, 2)).toEqual([]);
  });
});

describe("the largest group", () => {
  /** Bytes as a run needs them: what grows with all groups, and the fullest micro-batch. */
  function search(limit: number, maxTokensPerMicrobatch: number) {
    const promptsPerStep = 8;
    const [promptTokens, maxCompletionLength] = [100, 50];
    const peakOf = async (n: number) => {
      const group = promptTokens + n * maxCompletionLength;
      const together = Math.max(1, Math.min(promptsPerStep, Math.floor(maxTokensPerMicrobatch / group)));
      return 10 * n + together * group;
    };
    // Two times four: the questions of an update.
    const prompts = { promptsPerStep: promptsPerStep / 4, gradientAccumulationSteps: 4 };
    return { peakOf, limit, promptTokens, config: { maxCompletionLength, maxTokensPerMicrobatch, ...prompts } };
  }

  it("is the largest of all that fit, though memory does not only grow", async () => {
    for (const budget of [500, 1000, 3000, 10_000, 40_000]) {
      for (const limit of [100, 250, 500, 900, 1500, 3000, 7000, 20_000]) {
        const given = search(limit, budget);
        const fitting: number[] = [];
        for (let n = 2; n <= LARGEST_GROUP; n += 1) if ((await given.peakOf(n)) <= limit) fitting.push(n);
        expect([budget, limit, await largestGroup(given)]).toEqual([budget, limit, fitting.at(-1)]);
      }
    }
  });

  it("is searched for up to a bound, with few estimates", async () => {
    let count = 0;
    const given = search(1e9, 4000);
    const peakOf = (n: number) => {
      count += 1;
      return given.peakOf(n);
    };
    expect(await largestGroup({ ...given, peakOf })).toBe(LARGEST_GROUP);
    expect(count).toBeLessThan(15);
  });
});

describe("advice", () => {
  it("says what each change saves, and all of them together", async () => {
    const { engine, run } = await open();
    const large = { ...config, gradientCheckpointing: false, maxTokensPerMicrobatch: 8000 };
    const estimate = await estimateMemory(engine, run, large);
    const advice = await adviseOn(engine, run, large, estimate);
    const options = advice.map((one) => one.options);
    expect(options).toContainEqual({ gradientCheckpointing: true });
    expect(options).toContainEqual({ maxTokensPerMicrobatch: 60 + 4 * 16 });
    expect(options).toContainEqual({ promptsPerStep: 2 });
    // The fake's weights are as large frozen as trained.
    expect(options).not.toContainEqual({ usePeft: true });
    expect(options.at(-1)).toEqual(Object.assign({}, ...options.slice(0, -1)));
    const peaks = advice.map(({ peak }) => peak);
    expect(Math.max(...peaks)).toBeLessThan(estimate.peak);
    expect(peaks.at(-1)).toBe(Math.min(...peaks));
  });

  it("tries a smaller optimizer and a smaller reference", async () => {
    const { engine, run, asked } = await open();
    const copied = { ...config, beta: 0.1 };
    await adviseOn(engine, run, copied, await estimateMemory(engine, run, copied));
    expect(asked()).toContainEqual(expect.objectContaining({ moments: "int8", stochasticRounding: false }));
    expect(asked()).toContainEqual(expect.objectContaining({ precision: "bf16", stochasticRounding: true }));
    expect(asked()).toContainEqual(expect.objectContaining({ precision: "auto", referencePrecision: "bf16" }));
    expect(asked().every(({ train, stochasticRounding }) => train === "full" || !stochasticRounding)).toBe(true);
  });

  it("tries rollouts of fewer questions, however they are made up", async () => {
    const tried = async (more: Partial<EstimatedConfig>) => {
      const { engine, run, asked } = await open();
      const chosen = { ...config, promptsPerStep: 1, ...more };
      await adviseOn(engine, run, chosen, await estimateMemory(engine, run, chosen));
      return new Set(asked().map(({ prompts }) => prompts.length));
    };
    expect(await tried({ gradientAccumulationSteps: 6 })).toEqual(new Set([6, 3]));
    // 3 / 2 steps per generation would be no whole number of updates.
    expect(await tried({ gradientAccumulationSteps: 4, stepsPerGeneration: 3 })).toEqual(new Set([4]));
    expect(await tried({ gradientAccumulationSteps: 2, stepsPerGeneration: 6 })).toEqual(new Set([6, 2]));
  });

  it("undoes nothing that was asked for", async () => {
    const { engine, run, asked } = await open();
    const chosen = { ...config, freezePatterns: "visual", promptsPerStep: 1, maxCompletionLength: 1 };
    await adviseOn(engine, run, chosen, await estimateMemory(engine, run, chosen));
    expect(asked().every(({ train }) => train === "full")).toBe(true);
  });

  it("tries fewer completions at once, counted in those that there are", async () => {
    for (const [maxNumSeqs, tried] of [
      [0, 6],
      [100, 6],
      [7, 4],
    ]) {
      const { engine, run, asked } = await open();
      const chosen = { ...config, maxNumSeqs: maxNumSeqs as number };
      await adviseOn(engine, run, chosen, await estimateMemory(engine, run, chosen));
      expect(asked().map(({ maxRows }) => maxRows)).toContain(tried);
    }
  });
});

describe("the warning at a run's start", () => {
  const config = parseConfig(grpoSchema, { model: MODEL, dataset: "rows", maxCompletionLength: 16 });
  const plan = { objective: "grpo" as const, config };

  async function warnings(limit: number, fake: FakeOptions = {}, device: "cpu" | "cuda" = "cpu"): Promise<string[]> {
    const engine = await Engine.open({ addon: fakeAddon(fake), device });
    const processor = await Processor.load(MODEL, engine);
    const found: string[] = [];
    const warn = (message: string) => void found.push(message);
    const source = { directory: MODEL, adapter: undefined };
    const planning = { engine, source, plan, budget: 4096, rows: rows(3), warn, signal: undefined };
    expect(await planMemory(planning, processor, limit)).toBe(4096);
    return found;
  }

  it("is given where there is less memory than the run takes", async () => {
    expect(await warnings(1e12)).toEqual([]);
    expect(await warnings(1e9)).toEqual([
      expect.stringMatching(
        /^this run may take \d\.\d\d GB of memory, and 1\.00 GB are available; .*vlmr1-native estimate/,
      ),
    ]);
  });

  it("says that there is no estimate, and ends no run", async () => {
    const error = Object.assign(new Error("no such thing"), { code: "ERR_CONFIG" });
    const fails = { verb: "estimate", error };
    expect(await warnings(1e9, { fails })).toEqual([expect.stringMatching(/could not be estimated: no such thing/)]);
  });

  it("does not keep a run waiting", async () => {
    // One that did would go on to this test's own time limit.
    expect(await warnings(1e9, { hangs: "estimate" })).toEqual([]);
  });

  it("is not given for other devices, which have memory of their own", async () => {
    expect(await warnings(1e9, { cuda: { available: true, reason: "" } }, "cuda")).toEqual([]);
  });

  it("comes before the weights are loaded", async () => {
    const verbs: string[] = [];
    const addon = fakeAddon();
    const engine = await Engine.open({ addon });
    const onWarning = () => void verbs.push("warning");
    const trainer = new Trainer({
      model: MODEL,
      dataset: rows(3),
      engine,
      outputDir: join(folder, "run"),
      maxSteps: 0,
      reporters: [{ onWarning }],
    });
    for await (const _ of trainer.run());
    const called = addon.calls.map(({ verb }) => verb);
    expect(called.indexOf("estimate")).toBeGreaterThan(-1);
    expect(called.indexOf("estimate")).toBeLessThan(called.indexOf("loadModel"));
    expect(verbs).toEqual([]);
  });
});
