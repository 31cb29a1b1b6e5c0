import { describe, expect, it } from "vitest";
import type { AdapterSpec } from "../../../lib/adapters/index.js";
import { resolveTrainable, type TrainableConfig } from "../../../lib/trainer/trainable.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { tinyParameters } from "../../support/tiny-parameters.js";

const parameters = [
  ...tinyParameters(),
  {
    name: "lm_head.weight",
    runtimeName: "lm_head.weight",
    shape: [320, 48],
    part: "language" as const,
    linear: true,
  },
];
const { info } = new (fakeAddon().Engine)({ device: "cpu", threads: 1, isa: "" }).describeModel({ config: "{}" });
const resolve = (config: Partial<TrainableConfig>, stored?: AdapterSpec) =>
  resolveTrainable({ freezeVisionModules: false, ...config } as TrainableConfig, { info, parameters }, stored);

function frozen(config: Partial<TrainableConfig>): string[] {
  const trainable = resolve(config);
  return trainable.train === "full" ? trainable.frozen : ["(an adapter)"];
}

function adapter(config: Partial<TrainableConfig>, stored?: AdapterSpec): AdapterSpec {
  const trainable = resolve({ usePeft: true, ...config }, stored);
  if (trainable.train !== "lora") throw new Error("no adapter");
  return trainable.adapter;
}

const parts = (config: Partial<TrainableConfig>) => {
  const names = new Set(adapter(config).modules.map(({ name }) => `${name}.weight`));
  const count: Record<string, number> = {};
  for (const { name, part } of parameters) if (names.has(name)) count[part] = (count[part] ?? 0) + 1;
  return count;
};
const namesIn = (...wanted: string[]) => parameters.filter(({ part }) => wanted.includes(part)).map(({ name }) => name);
const refused = (message: string) =>
  expect.objectContaining({ code: "ERR_CONFIG", message: expect.stringContaining(message) });

describe("the whole model", () => {
  it("is trained unless parts are frozen", () => {
    expect(frozen({})).toEqual([]);
  });

  it("without the vision tower keeps the merger out too, as VLM-R1 does", () => {
    expect(frozen({ freezeVisionModules: true })).toEqual(namesIn("vision", "merger"));
    expect(frozen({ freezeVisionModules: true, freezeMerger: false })).toEqual(namesIn("vision"));
    expect(frozen({ freezeMerger: true })).toEqual(namesIn("merger"));
  });

  it("takes patterns for what stays and for what is trained, and both", () => {
    const norms = frozen({ freezePatterns: ["input_layernorm", "model.norm"] });
    expect(norms).toEqual([
      "model.layers.0.input_layernorm.weight",
      "model.layers.1.input_layernorm.weight",
      "model.norm.weight",
    ]);
    const only = frozen({ trainablePatterns: ["layers.1", "lm_head"], freezePatterns: ".*bias" });
    const trained = parameters.map(({ name }) => name).filter((name) => !only.includes(name));
    expect(trained).toHaveLength(10);
    expect(trained.every((name) => /layers\.1\..*weight|lm_head/.test(name))).toBe(true);
    expect(frozen({ freezeVisionModules: true, trainablePatterns: "model" })).toEqual([
      ...namesIn("vision", "merger"),
      "lm_head.weight",
    ]);
  });

  it("must have something left to train", () => {
    const config = { freezeVisionModules: true, trainablePatterns: ["visual"] };
    expect(() => resolve(config)).toThrow(refused("nothing left to train"));
    expect(() => resolve({ freezePatterns: "no.such" })).toThrow(refused('freeze_patterns: "no.such"'));
    expect(() => resolve({ trainablePatterns: ["q_prjo"] })).toThrow(refused('trainable_patterns: "q_prjo"'));
  });

  it.each<[Partial<TrainableConfig>, string]>([
    [{ loraR: 16 }, "lora_r needs use_peft"],
    [{ loraTargetModules: "q_proj", loraAlpha: 8 }, "lora_alpha, lora_target_modules needs use_peft"],
    [{ usePeft: false, loraDropout: 0.1 }, "lora_dropout needs use_peft"],
    [{ saveMergedTo: "out" }, "save_merged_to needs use_peft"],
    [{ usePeft: false, adapter: "dir" }, "adapter is given, but use_peft is false"],
  ])("refuses %j", (config, message) => {
    expect(() => resolve(config)).toThrow(refused(message));
  });
});

describe("an adapter", () => {
  it("is on the language model's linear layers with TRL's rank and alpha, lm_head aside", () => {
    expect(adapter({})).toMatchObject({ useRslora: false, dropout: 0 });
    expect(adapter({}).modules).toHaveLength(14);
    expect(adapter({}).modules[0]).toEqual({
      name: "model.layers.0.self_attn.q_proj",
      runtimeName: "model.language_model.layers.0.self_attn.q_proj",
      rank: 16,
      alpha: 32,
    });
    expect(adapter({ loraR: 4, loraAlpha: 2, loraDropout: 0.1, useRslora: true })).toMatchObject({
      modules: expect.arrayContaining([expect.objectContaining({ rank: 4, alpha: 2 })]),
      useRslora: true,
      dropout: 0.1,
    });
  });

  it("may be on the vision tower and the merger too", () => {
    expect(parts({})).toEqual({ language: 14 });
    expect(parts({ loraVision: true })).toEqual({ language: 14, vision: 10 });
    expect(parts({ loraMerger: true })).toEqual({ language: 14, merger: 2 });
    expect(parts({ loraTargetModules: "all-linear" })).toEqual({ language: 14, vision: 10, merger: 2 });
    expect(parts({ loraTargetModules: "all-linear", loraVision: false })).toEqual({ language: 14, merger: 2 });
    expect(parts({ loraTargetModules: ["all-linear"], freezeVisionModules: true })).toEqual({ language: 14 });
  });

  it("is where its patterns say, in the vision tower unless that is left out", () => {
    expect(parts({ loraTargetModules: ["q_proj", "up_proj"] })).toEqual({ language: 4, vision: 2 });
    expect(parts({ loraTargetModules: ["q_proj", "up_proj"], loraVision: false })).toEqual({ language: 4 });
    expect(parts({ loraTargetModules: ["q_proj", "up_proj"], freezeVisionModules: true })).toEqual({ language: 4 });
    expect(parts({ loraTargetModules: "lm_head" })).toEqual({ language: 1 });
  });

  it("that is there keeps its shape; its dropout may change", () => {
    const stored = adapter({ loraTargetModules: ["q_proj"], loraR: 3, loraDropout: 0.2 });
    expect(adapter({ adapter: "dir" }, stored)).toEqual(stored);
    expect(resolve({ adapter: "dir", loraDropout: 0 }, stored)).toEqual({
      train: "lora",
      adapter: { ...stored, dropout: 0 },
    });
    expect(() => resolve({ adapter: "dir", loraR: 8 }, stored)).toThrow(refused("lora_r cannot be chosen"));
  });

  it.each<[Partial<TrainableConfig>, string]>([
    [{ freezePatterns: ["visual"] }, "freeze_patterns cannot be used with LoRA"],
    [{ trainablePatterns: ["visual"], freezeMerger: false }, "freeze_merger, trainable_patterns cannot be used"],
    [{ freezeVisionModules: true, loraVision: true }, "cannot both be true"],
    [{ loraTargetModules: ["q_proj"], loraMerger: true }, "lora_merger is true, but lora_target_modules matches no"],
    [{ loraTargetModules: ["qkv"], loraVision: false }, "no linear layer to adapt"],
    [{ loraTargetModules: ["input_layernorm"] }, '"input_layernorm" matches no linear layer'],
    [{ saveModelTo: "out", saveMergedTo: "out" }, "the same folder"],
  ])("refuses %j", (config, message) => {
    expect(() => resolve({ usePeft: true, ...config })).toThrow(refused(message));
  });
});
