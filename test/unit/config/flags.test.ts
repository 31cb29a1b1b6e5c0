import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  addConfigFlags,
  normaliseFlags,
  parseConfig,
  readCommandConfig,
  toFileConfig,
} from "../../../lib/config/index.js";
import { temporaryFolder } from "../../support/temporary.js";

const Schema = z.object({
  model: z.string().describe("the model's folder"),
  learningRate: z
    .number()
    .positive()
    .default(1e-6)
    .meta({ aliases: ["lr"] }),
  topK: z.int().min(0).optional(),
  freezeVision: z.boolean().default(true),
  verbose: z.boolean().default(false),
  profile: z.union([z.boolean(), z.string().min(1)]).optional(),
  lossType: z.enum(["grpo", "dapo"]).default("grpo"),
  rewardWeights: z.array(z.number()).optional(),
  data: z.union([z.string(), z.array(z.string())]).optional(),
  delta: z.number().nullable().default(null),
  sampling: z.object({ topP: z.number().max(1).default(1), minP: z.number().default(0) }).optional(),
});

const folder = temporaryFolder();

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function read(...args: string[]) {
  const command = addConfigFlags(new Command("test"), Schema)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  command.parse(normaliseFlags(args, command), { from: "user" });
  return readCommandConfig(command, Schema);
}

const refused = (args: string[]) => expect(read("--model", "m", ...args)).rejects;

describe("flags of a schema", () => {
  it.each([
    [["--profile"], true],
    [["--profile", "--verbose"], true],
    [["--profile", "trace.json"], "trace.json"],
    [["--profile=trace.json"], "trace.json"],
    [["--no-profile"], false],
    [["--set", "profile=trace.json"], "trace.json"],
  ])("reads %j as on, off or a file's name", async (args, profile) => {
    expect(await read("--model", "m", ...args)).toMatchObject({ profile });
  });

  it("fills in defaults", async () => {
    expect(await read("--model", "m")).toEqual({
      model: "m",
      learningRate: 1e-6,
      freezeVision: true,
      verbose: false,
      lossType: "grpo",
      delta: null,
    });
  });

  it.each([
    ["--learning-rate", "2"],
    ["--learning_rate", "2"],
    ["--learningRate", "2"],
    ["--learning-rate=2"],
    ["--lr=2"],
    ["--LR", "2"],
    ["--set", "learning_rate=2"],
    ["--set=lr=2"],
  ])("reads %s %s", async (...args) => {
    expect((await read("--model", "m", ...args)).learningRate).toBe(2);
  });

  it("reads every kind of value", async () => {
    const args = [
      "--top-k",
      "5",
      "--no-freeze-vision",
      "--verbose",
      "--loss-type",
      "dapo",
      "--reward-weights",
      "1",
      "0.5",
    ];
    expect(await read("--model", "m", ...args, "--data", "a.json", "b.json", "--delta", "1e3")).toMatchObject({
      topK: 5,
      freezeVision: false,
      verbose: true,
      lossType: "dapo",
      rewardWeights: [1, 0.5],
      data: ["a.json", "b.json"],
      delta: 1000,
    });
  });

  it("takes number lists with commas, and leaves commas in texts", async () => {
    const config = await read("--model", "m", "--reward-weights", "1,-2", "--data", "a,b.json");
    expect(config.rewardWeights).toEqual([1, -2]);
    expect(config.data).toEqual(["a,b.json"]);
  });

  it.each([
    [["--freeze-vision", "false"], { freezeVision: false }],
    [["--freeze_vision=false", "--verbose=true"], { freezeVision: false, verbose: true }],
    [["--verbose", "true", "--top-k", "3"], { verbose: true, topK: 3 }],
    [["--no-freeze-vision"], { freezeVision: false }],
  ])("takes true and false after a switch: %j", async (args, expected) => {
    expect(await read("--model", "m", ...args)).toMatchObject(expected);
  });

  it("does not take a value for a flag", async () => {
    expect((await read("--model", "--top_K")).model).toBe("--top_K");
  });

  it.each([
    [["--set", "freeze_vision=false"], { freezeVision: false }],
    [["--set", "data=[a.json, b.json]"], { data: ["a.json", "b.json"] }],
    [["--set", "data=a.json"], { data: "a.json" }],
    [["--set", "delta=null"], { delta: null }],
    [["--set", "model=a=b"], { model: "a=b" }],
    [["--set", "sampling.top_p=0.5", "--set", "sampling.minP=0.1"], { sampling: { topP: 0.5, minP: 0.1 } }],
    [["--set", "reward_weights=[1, 2]"], { rewardWeights: [1, 2] }],
  ])("--set: %j", async (args, expected) => {
    expect(await read("--model", "m", ...args)).toMatchObject(expected);
  });
});

describe("a configuration file", () => {
  it("is read as YAML and as JSON, in either case, below flags and --set", async () => {
    const yaml = file(
      "a.yaml",
      "model: from-file\nlearning_rate: 3\ntopK: 4\nsampling: { top_p: 0.9 }\nloss_type: dapo\n",
    );
    const config = await read(
      "--config",
      yaml,
      "--lr",
      "5",
      "--top-k",
      "6",
      "--set",
      "top_k=7",
      "--set",
      "sampling.min_p=0.2",
    );
    expect(config).toMatchObject({
      model: "from-file",
      learningRate: 5,
      topK: 7,
      lossType: "dapo",
      sampling: { topP: 0.9, minP: 0.2 },
    });
    const json = file("a.json", '\uFEFF{"model": "j", "lossType": "dapo"}');
    expect(await read("--config", json)).toMatchObject({ model: "j", lossType: "dapo" });
  });

  it.each([
    ["learning_rat: 1", /unknown field "learning_rat"/, 'Did you mean "learning_rate"?'],
    ["sampling: { topq: 1 }", /unknown field "sampling.topq"/, 'Did you mean "top_p"?'],
    ["xyzzy: 1", /unknown field "xyzzy"/, "See --help for the known fields."],
    ["lr: 1\nlearning_rate: 2", /lr and learning_rate are the same field/, undefined],
    ["- a list", /expected the whole to be a map/, undefined],
    ["a: [", /not valid YAML/, undefined],
  ])("is refused: %j", async (text, message, hint) => {
    const path = file("bad.yaml", text);
    await refused(["--config", path]).toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringMatching(message),
      hint,
    });
    await refused(["--config", path]).toThrow(path);
  });

  it("that is missing is named", async () => {
    await refused(["--config", join(folder, "none.yaml")]).toMatchObject({
      message: expect.stringContaining("none.yaml"),
    });
  });
});

describe("wrong values", () => {
  it.each([
    [["--lr", "fast"], 'learning_rate (from --learning-rate): expected a number, got "fast"'],
    [["--lr", "0"], "learning_rate (from --learning-rate): expected more than 0, got 0"],
    [["--top-k", "1.5"], "top_k (from --top-k): expected a whole number, got 1.5"],
    [["--top-k=-1"], "top_k (from --top-k): expected at least 0, got -1"],
    [["--loss-type", "ppo"], 'loss_type (from --loss-type): expected one of grpo, dapo, got "ppo"'],
    [["--set", "sampling.top_p=2"], "sampling.top_p (from --set sampling): expected at most 1, got 2"],
    [["--reward-weights", "1", "x"], 'reward_weights[1] (from --reward-weights): expected a number, got "x"'],
  ])("%j", async (args, message) => {
    await refused(args).toMatchObject({ code: "ERR_CONFIG", message });
  });

  it("are all told at once", async () => {
    await refused(["--lr", "x", "--top-k", "y"]).toThrow(/learning_rate.*\n.*top_k/);
  });

  it("a missing field is named", async () => {
    await expect(read()).rejects.toMatchObject({ code: "ERR_CONFIG", message: "model: must be given" });
  });

  it.each([["novalue"], ["=1"], ["unknown=1"]])("--set %s", async (text) => {
    await refused(["--set", text]).toMatchObject({ code: expect.stringMatching(/ERR_(USAGE|CONFIG)/) });
  });
});

describe("parseConfig and toFileConfig", () => {
  it("reads options in any case", () => {
    expect(parseConfig(Schema, { model: "m", learning_rate: 1, topK: 2 })).toMatchObject({ learningRate: 1, topK: 2 });
    expect(() => parseConfig(Schema, { model: "m", loss: 1 }, "Trainer options")).toThrow(
      /Trainer options: unknown field "loss"/,
    );
  });

  it("writes what it reads back", () => {
    const config = parseConfig(Schema, { model: "m", rewardWeights: [1] });
    expect(toFileConfig(config)).toMatchObject({ learning_rate: 1e-6, reward_weights: [1], freeze_vision: true });
    expect(parseConfig(Schema, toFileConfig(config))).toEqual(config);
  });
});
