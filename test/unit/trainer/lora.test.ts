import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { AccumulateArgs, GrpoLossArgs, LoadModelArgs, LogProbsArgs } from "../../../lib/engine/index.js";
import type { RunStart, StepReport } from "../../../lib/report/index.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { PLAIN_LOAD } from "../../support/load.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, MODEL, runAll, timeless } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const lora = { usePeft: true, loraR: 4, loraTargetModules: ["q_proj", "v_proj"] };
const json = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
const TOKENIZER = ["tokenizer.json", "tokenizer_config.json"];

afterEach(() => vi.unstubAllEnvs());

describe("a run that trains an adapter", () => {
  test("tells the engine which layers, and the reader what share of the model that is", async () => {
    const loaded: LoadModelArgs[] = [];
    const starts: RunStart[] = [];
    const engine = await banditEngine({ onLoad: (args) => loaded.push(args) });
    const onStart = (start: RunStart) => void starts.push(start);
    const options = { ...lora, useRslora: true, loraDropout: 0.1, precision: "bfloat16" as const, beta: 0.1, seed: 9 };
    await runAll(banditRun(engine, newRun(), { ...options, maxSteps: 1, reporters: [{ onStart }] }));
    const modules = [0, 1].flatMap((layer) =>
      ["q_proj", "v_proj"].map((name) => ({ name: `model.layers.${layer}.self_attn.${name}`, rank: 4, scale: 16 })),
    );
    // One model, though there is a reference policy.
    expect(loaded).toEqual([
      {
        ...PLAIN_LOAD,
        directory: MODEL,
        precision: "bf16",
        train: "lora",
        lora: { modules, dropout: 0.1, seed: 9, weights: "", keepStart: false },
        gradientCheckpointing: true,
      },
    ]);
    expect(starts[0]?.adapter).toEqual({ ranks: [4, 4], layers: 4 });
  });

  test("has itself with the adapter switched off as the reference policy", async () => {
    const scored: LogProbsArgs[] = [];
    const seen: GrpoLossArgs[] = [];
    const onVerb = (verb: string, args: unknown) => {
      if (verb === "logProbs") scored.push(args as LogProbsArgs);
      if (verb === "accumulate") seen.push((args as AccumulateArgs).loss as GrpoLossArgs);
    };
    const options = { ...lora, beta: 0.04, maxSteps: 3, learningRate: 3 };
    await runAll(banditRun(await banditEngine({ onVerb }), newRun(), options));
    expect(scored.map(({ adapter }) => adapter)).toEqual(["off", "off", "off"]);
    // All four answers are equally likely to the model without its adapter, whatever that has learned.
    const first = seen.flatMap(({ refLogProbs }) => refLogProbs.flatMap((group) => group.map((scores) => scores[0])));
    expect(new Set(first)).toEqual(new Set([Math.fround(Math.log(0.25))]));
  });

  test("drops other inputs in every micro-batch, the same ones when it is repeated", async () => {
    const seeds = async (seed: number) => {
      const seen: number[] = [];
      const onVerb = (verb: string, args: unknown) => {
        if (verb === "accumulate") seen.push((args as AccumulateArgs).dropoutSeed);
      };
      const options = { ...lora, loraDropout: 0.1, maxSteps: 3, numIterations: 2, maxTokensPerMicrobatch: 1, seed };
      await runAll(banditRun(await banditEngine({ onVerb }), newRun(), { ...options, beta: 0.1 }));
      return seen;
    };
    const first = await seeds(1);
    expect(first).toHaveLength(3 * 2 * 4);
    expect(new Set(first).size).toBe(first.length);
    expect(await seeds(1)).toEqual(first);
    expect(await seeds(2)).not.toEqual(first);
  });

  test("keeps the adapter in its checkpoints, not the model, and goes on bit for bit", async () => {
    const options = { ...lora, maxSteps: 6, saveSteps: 3 };
    const whole = newRun();
    const expected = await runAll(banditRun(await banditEngine(), whole, options));
    const checkpoint = checkpointFile(whole, 6, "");
    expect(readdirSync(checkpoint).sort()).toEqual(["adapter", "state.safetensors", "trainer.json"]);
    expect(readdirSync(join(checkpoint, "adapter"))).toEqual(
      expect.arrayContaining(["adapter_config.json", "adapter_model.safetensors", ...TOKENIZER]),
    );
    expect(json(join(checkpoint, "adapter", "adapter_config.json"))).toMatchObject({
      base_model_name_or_path: MODEL,
      r: 4,
      lora_alpha: 32,
      target_modules: ["q_proj", "v_proj"],
    });
    const broken = newRun();
    const controller = new AbortController();
    const onStep = ({ step }: StepReport) => {
      if (step === 4) controller.abort(new Error("Ctrl-C"));
    };
    const interrupted = banditRun(await banditEngine(), broken, { ...options, reporters: [{ onStep }] });
    await expect(runAll(interrupted, controller.signal)).rejects.toThrow("Ctrl-C");
    const rest = await runAll(banditRun(await banditEngine(), broken, { ...options, resume: true }));
    expect(rest.map(timeless)).toEqual(expected.slice(4).map(timeless));
    for (const name of ["state.safetensors", "adapter/adapter_model.safetensors"]) {
      expect(readFileSync(checkpointFile(broken, 6, name))).toEqual(readFileSync(checkpointFile(whole, 6, name)));
    }
  });

  test("is not resumed as another kind of run", async () => {
    const outputDir = newRun();
    await runAll(banditRun(await banditEngine(), outputDir, { ...lora, maxSteps: 2 }));
    const full = banditRun(await banditEngine(), outputDir, { maxSteps: 3, resume: true });
    await expect(runAll(full)).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringContaining("train lora, now full"),
    });
  });

  test("saves the adapter, or the model with the adapter in it", async () => {
    const trainer = banditRun(await banditEngine(), newRun(), { ...lora, maxSteps: 1 });
    await runAll(trainer);
    const adapter = newRun();
    const merged = newRun();
    await trainer.save(adapter);
    await trainer.save(merged, { merged: true, dtype: "bf16" });
    expect(readdirSync(adapter)).toEqual(expect.arrayContaining(["adapter_config.json", ...TOKENIZER]));
    expect(existsSync(join(adapter, "config.json"))).toBe(false);
    expect(json(join(merged, "model.safetensors"))).toMatchObject({ what: "merged" });
    expect(json(join(merged, "config.json"))).toMatchObject({ dtype: "bfloat16" });
    // Each into the other's folder would make one that readers take for something else.
    await expect(trainer.save(merged)).rejects.toMatchObject({ code: "ERR_USAGE" });
    await expect(trainer.save(adapter, { merged: true })).rejects.toMatchObject({ code: "ERR_USAGE" });
  });
});

describe("a run that starts from an adapter", () => {
  const Q1 = "model.language_model.layers.1.self_attn.q_proj";
  const stored = (name: string, config = {}) => writeAdapter(join(folder, name), pair(Q1, 48, 48, 4), config);

  test("takes its layers, ranks and weights from there", async () => {
    const loaded: LoadModelArgs[] = [];
    const engine = await banditEngine({ onLoad: (args) => loaded.push(args) });
    const adapter = stored("start");
    await runAll(banditRun(engine, newRun(), { adapter, maxSteps: 1 }));
    expect(loaded[0]).toMatchObject({
      directory: MODEL,
      train: "lora",
      lora: {
        modules: [{ name: "model.layers.1.self_attn.q_proj", rank: 4, scale: 2 }],
        dropout: 0.05,
        weights: join(adapter, "adapter_model.safetensors"),
      },
    });
  });

  test("holds on to the adapter as it was, as TRL does, and not to the model without it", async () => {
    const loaded: LoadModelArgs[] = [];
    const scored: LogProbsArgs[] = [];
    const onVerb = (verb: string, args: unknown) => {
      if (verb === "logProbs") scored.push(args as LogProbsArgs);
    };
    const engine = await banditEngine({ onVerb, onLoad: (args) => loaded.push(args) });
    await runAll(banditRun(engine, newRun(), { adapter: stored("reference"), beta: 0.1, maxSteps: 1 }));
    // One model: it keeps a copy of its adapter alone.
    expect(loaded.map(({ train, lora }) => [train, lora?.keepStart])).toEqual([["lora", true]]);
    expect(scored.map(({ adapter }) => adapter)).toEqual(["start"]);
  });

  test("may name it as the model: the adapter knows which one it belongs to", async () => {
    const loaded: LoadModelArgs[] = [];
    const engine = await banditEngine({ onLoad: (args) => loaded.push(args) });
    const outputDir = newRun();
    const model = stored("named", { base_model_name_or_path: MODEL });
    await runAll(banditRun(engine, outputDir, { model, maxSteps: 1 }));
    expect(loaded[0]).toMatchObject({ directory: MODEL, train: "lora" });
    expect(json(checkpointFile(outputDir, 1, "adapter/adapter_config.json"))).toMatchObject({
      base_model_name_or_path: MODEL,
      target_modules: ["1.self_attn.q_proj"],
    });
  });

  test("says what to give where the base model is not there", async () => {
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    vi.stubEnv("HF_HUB_CACHE", join(folder, "cache"));
    const model = stored("alone", { base_model_name_or_path: "Qwen/Nowhere-3B" });
    await expect(runAll(banditRun(await banditEngine(), newRun(), { model }))).rejects.toMatchObject({
      code: "ERR_MODEL",
      message: expect.stringContaining("Qwen/Nowhere-3B"),
      hint: `Give both: --model BASE --adapter ${model}`,
    });
  });
});

describe("a run that trains parts of the model", () => {
  test("tells the engine what stays, and checks it before weights are read", async () => {
    const loaded: LoadModelArgs[] = [];
    const engine = await banditEngine({ onLoad: (args) => loaded.push(args) });
    const options = { freezeVisionModules: true, freezePatterns: ["model.norm"], beta: 0.1, maxSteps: 1 };
    await runAll(banditRun(engine, newRun(), options));
    expect(loaded.map(({ train }) => train)).toEqual(["full", "none"]);
    expect(loaded[0]?.frozen).toContain("model.norm.weight");
    expect(loaded[0]?.frozen.filter((name) => name.startsWith("visual.merger."))).toHaveLength(5);
    loaded.length = 0;
    const misspelt = banditRun(engine, newRun(), { freezePatterns: ["model.nrom"] });
    await expect(runAll(misspelt)).rejects.toMatchObject({ code: "ERR_CONFIG" });
    expect(loaded).toEqual([]);
  });

  test("replaces an earlier save, shards and all, and leaves other files", async () => {
    const trainer = banditRun(await banditEngine(), newRun(), { maxSteps: 1 });
    await runAll(trainer);
    const out = newRun();
    mkdirSync(out);
    for (const name of ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "notes.txt"]) {
      writeFileSync(join(out, name), "old");
    }
    await trainer.save(out);
    expect(readdirSync(out).filter((name) => /model|notes/.test(name))).toEqual(["model.safetensors", "notes.txt"]);
    expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
  });
});
