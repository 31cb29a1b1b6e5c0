import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseConfig, toFileConfig } from "../../../lib/config/index.js";
import { grpoSchema, sftSchema } from "../../../lib/config/train-schema.js";
import { Trainer } from "../../../lib/trainer/index.js";
import { rows } from "../../support/training.js";

const needed = { model: "m", dataset: "d.json" };

describe("training options", () => {
  test("have TRL's defaults", () => {
    expect(parseConfig(grpoSchema, needed)).toMatchObject({
      learningRate: 1e-6,
      numGenerations: 8,
      temperature: 1,
      beta: 0,
      epsilon: 0.2,
      lossType: "dapo",
      scaleRewards: "group",
      numIterations: 1,
      maxGradNorm: 1,
      weightDecay: 0,
      adamBeta2: 0.999,
      lrSchedulerType: "linear",
      numTrainEpochs: 3,
      gradientCheckpointing: true,
      maskTruncatedCompletions: false,
    });
    expect(parseConfig(sftSchema, needed)).toMatchObject({ learningRate: 2e-5, augment: false });
  });

  test("have TRL's names for adapters, and torch's for types", () => {
    const config = parseConfig(grpoSchema, {
      ...needed,
      lora: true,
      lora_rank: 8,
      lora_alpha: 16,
      "lora-target-modules": "all-linear",
      use_rslora: true,
      torch_dtype: "bfloat16",
    });
    expect(config).toMatchObject({
      ...{
        usePeft: true,
        loraR: 8,
        loraAlpha: 16,
        loraTargetModules: "all-linear",
        useRslora: true,
        precision: "bf16",
      },
    });
    // What a run's config.yaml holds is read again by a resumed one.
    expect(parseConfig(grpoSchema, toFileConfig(config))).toEqual(config);
    expect(() => parseConfig(grpoSchema, { ...needed, dtype: "float16" })).toThrow(/precision.*auto, f32, bf16/);
  });

  test("read the names that people know", () => {
    const config = parseConfig(grpoSchema, {
      model: "m",
      data_file_paths: "a.json:b.jsonl",
      reward_funcs: ["format"],
      lr: 1e-5,
      freeze_vision_modules: true,
      max_new_tokens: 9,
    });
    expect(config).toMatchObject({ dataset: "a.json:b.jsonl", rewards: ["format"], learningRate: 1e-5 });
    expect(config).toMatchObject({ freezeVisionModules: true, maxCompletionLength: 9 });
  });

  test.each([
    [{ numGenerations: 1 }, /num_generations.*at least 2/],
    [{ temperature: 0 }, /temperature.*more than 0/],
    [{ lossType: "ppo" }, /loss_type.*grpo, bnpo, dr_grpo, dapo.*"ppo"/],
    [{ rewardWeights: [1] }, /reward_weights.*one weight per reward \(2\), got \[1\]/],
    [{ lrSchedulerKwargs: "x" }, /lr_scheduler_kwargs.*expected a map of names and values, .*got "x"/],
    [{ augment: "x" }, /augment.*expected true or false, got "x"/],
    [{ datasetWeights: 3 }, /dataset_weights.*expected a list, got 3/],
    [{ promptsPerStep: 1.5 }, /prompts_per_step.*whole number/],
  ])("refuse %j", (wrong, message) => {
    expect(() => parseConfig(grpoSchema, { ...needed, ...wrong })).toThrow(message);
  });

  test("survive config.yaml and back", () => {
    const config = parseConfig(grpoSchema, { ...needed, beta: 0.04, rewardWeights: [1, 2] });
    expect(parseConfig(grpoSchema, toFileConfig(config))).toEqual(config);
  });

  test("of the food example fit the schema", () => {
    const text = readFileSync(new URL("../../../examples/food/train.yaml", import.meta.url), "utf8");
    expect(() => parseConfig(grpoSchema, { ...needed, ...(parse(text) as object) })).not.toThrow();
  });

  test("of other kinds and sizes are refused with what was expected", () => {
    for (const profile of [3, "", null]) {
      expect(() => parseConfig(grpoSchema, { ...needed, profile })).toThrow(
        `profile (from options): expected true, false or the name of a file, got ${JSON.stringify(profile)}`,
      );
    }
    expect(parseConfig(grpoSchema, { ...needed, maxNumSeqs: 2 ** 31 - 1 }).maxNumSeqs).toBe(2 ** 31 - 1);
    expect(() => parseConfig(grpoSchema, { ...needed, maxNumSeqs: 2 ** 31 })).toThrow(
      /at most 2147483647, got 2147483648/,
    );
  });

  test("are checked by the constructor, with rows and functions where code has them", () => {
    const reward = () => 1;
    const trainer = new Trainer({ model: "m", dataset: rows(1), rewards: [reward, "format"], outputDir: "out" });
    expect(trainer.config).toMatchObject({ rewards: ["reward", "format"], numGenerations: 8 });
    expect(() => new Trainer({ model: "m", dataset: [] })).toThrow(/at least one row/);
    expect(() => new Trainer({ model: "m", dataset: "d", rewards: [reward], rewardWeights: [1, 2] })).toThrow(/weight/);
  });
});
