import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { parseConfig } from "../../../lib/config/index.js";
import { grpoSchema, sftSchema } from "../../../lib/config/train-schema.js";
import { Engine, type NativeGroup } from "../../../lib/engine/index.js";
import { Processor } from "../../../lib/processing/index.js";
import type { RunStart } from "../../../lib/report/index.js";
import { Trainer } from "../../../lib/trainer/index.js";
import { planMemory } from "../../../lib/trainer/memory-plan.js";
import { chooseBudget, EFFICIENT_TOKENS } from "../../../lib/trainer/micro-batch-budget.js";
import type { RunPlan } from "../../../lib/trainer/options.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, MODEL, rows, runAll } from "../../support/training.js";

const EFFICIENT = EFFICIENT_TOKENS;
const folder = temporaryFolder();
let runs = 0;
function newRun(): string {
  runs += 1;
  return join(folder, String(runs));
}
const configOf = (run: string) => parse(readFileSync(join(run, "config.yaml"), "utf8")) as Record<string, unknown>;

describe("the budget that is chosen", () => {
  const choose = (groups: number[], limit: number) => chooseBudget({ groups, peakOf: async (budget) => budget, limit });

  it("is the efficient one wherever that fits, however much memory is free", async () => {
    for (const limit of [EFFICIENT, EFFICIENT + 1, 1e12]) expect(await choose([200, 300], limit)).toBe(EFFICIENT);
  });

  it("is halved until the run fits, and holds a whole group always", async () => {
    expect(await choose([100, 90], EFFICIENT - 1)).toBe(EFFICIENT / 2);
    expect(await choose([100, 90], EFFICIENT / 4)).toBe(EFFICIENT / 4);
    expect(await choose([100, 90], 1)).toBe(100);
    expect(await choose([5000, 4000], 1e9)).toBe(5000);
    expect(await choose([5000, 4000], 10)).toBe(5000);
    expect(await choose([], 1e9)).toBe(EFFICIENT);
  });

  it("keeps its promises for any groups and memory", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 9 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 6000 }), async (groups, limit) => {
        const budget = await choose(groups, limit);
        const largest = Math.max(...groups);
        expect(budget).toBeGreaterThanOrEqual(largest);
        expect(budget).toBeLessThanOrEqual(Math.max(EFFICIENT, largest));
        expect(budget <= limit || budget === largest).toBe(true);
      }),
    );
  });
});

describe("at a run's start", () => {
  const common = { model: MODEL, dataset: "rows", maxCompletionLength: 16 };
  const grpo: RunPlan = { objective: "grpo", config: parseConfig(grpoSchema, common) };
  const sft: RunPlan = { objective: "sft", config: parseConfig(sftSchema, common) };

  async function plan(plan: RunPlan, limit: number, fake: FakeOptions = {}, device: "cpu" | "cuda" = "cpu") {
    const engine = await Engine.open({ addon: fakeAddon(fake), device });
    const processor = await Processor.load(MODEL, engine);
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const source = { directory: MODEL, adapter: undefined };
    const planning = { engine, source, plan, budget: "auto" as const, rows: rows(3), warn, signal: undefined };
    return { budget: await planMemory(planning, processor, limit), warnings };
  }

  it("memory is estimated, and the budget lowered before anybody is warned", async () => {
    expect(await plan(grpo, 1e12)).toEqual({ budget: EFFICIENT, warnings: [] });
    // The fake takes a gigabyte, and a megabyte for every token of the fullest micro-batch; this process comes on top.
    const around = process.memoryUsage().rss + 60e6;
    expect(await plan(grpo, 1e9 + 600e6 + around)).toEqual({ budget: EFFICIENT / 2, warnings: [] });
    const tight = await plan(grpo, 1e9);
    expect(tight.budget).toBeGreaterThan(8 * 16);
    expect(tight.budget).toBeLessThan(8 * 16 + 64);
    expect(tight.warnings).toEqual([expect.stringMatching(/this run may take/)]);
  });

  it("supervised training is estimated as groups of one, the longest answer, and is not warned", async () => {
    expect(await plan(sft, 1e12)).toEqual({ budget: EFFICIENT, warnings: [] });
    const tight = await plan(sft, 1e9);
    expect(tight.budget).toBeLessThan(200);
    expect(tight.warnings).toEqual([]);
  });

  it("it is the least where the time was over after the efficient one did not fit, and that is said", async () => {
    const late = { hangs: "estimate", answersFirst: 1 };
    const { budget, warnings } = await plan(grpo, 1e9, late);
    expect(budget).toBeGreaterThan(8 * 16);
    expect(budget).toBeLessThan(8 * 16 + 64);
    expect(warnings).toEqual([expect.stringMatching(/within 2 s: .*; with larger ones it may take \d\.\d\d GB/)]);
    // One estimate is all that it takes where the first fits.
    expect(await plan(grpo, 1e12, late)).toEqual({ budget: EFFICIENT, warnings: [] });
  });

  it("it is the efficient one where there is no estimate in time, an error, or a device with memory of its own", async () => {
    for (const objective of [grpo, sft]) {
      expect(await plan(objective, 1e9, { hangs: "estimate" })).toEqual({
        budget: EFFICIENT,
        warnings: [expect.stringMatching(/not be estimated within 2 s: micro-batches are of at most 1024 tokens/)],
      });
    }
    const error = Object.assign(new Error("no such thing"), { code: "ERR_CONFIG" });
    const failed = await plan(grpo, 1e9, { fails: { verb: "estimate", error } });
    expect(failed).toEqual({ budget: EFFICIENT, warnings: [expect.stringMatching(/no such thing/)] });
    const cuda = { cuda: { available: true, reason: "" } };
    expect(await plan(grpo, 1e9, cuda, "cuda")).toEqual({ budget: EFFICIENT, warnings: [] });
  });
});

describe("a run", () => {
  const starts: RunStart[] = [];
  const reporters = [{ onStart: (start: RunStart) => void starts.push(start) }];

  it("says what was chosen, and writes the number into config.yaml", async () => {
    const engine = await banditEngine();
    const run = newRun();
    await runAll(banditRun(engine, run, { maxSteps: 1, reporters }));
    expect(configOf(run).max_tokens_per_microbatch).toBe(EFFICIENT);
    expect(starts.at(-1)?.maxTokensPerMicrobatch).toBe(EFFICIENT);
    engine.dispose();
  });

  it("takes a number that is given", async () => {
    const engine = await banditEngine();
    const run = newRun();
    await runAll(banditRun(engine, run, { maxSteps: 1, maxTokensPerMicrobatch: 5, reporters }));
    expect(configOf(run).max_tokens_per_microbatch).toBe(5);
    expect(starts.at(-1)?.maxTokensPerMicrobatch).toBe(5);
    engine.dispose();
  });

  it("goes on with what it began with, chooses nothing anew, and says where it is given another", async () => {
    const engine = await banditEngine();
    const run = newRun();
    await runAll(banditRun(engine, run, { lrSchedulerType: "constant", maxSteps: 1 }));
    // As if there had been less memory when it began.
    const began = { ...configOf(run), max_tokens_per_microbatch: 300 };
    writeFileSync(join(run, "config.yaml"), stringify(began));
    const warnings: string[] = [];
    const told = [...reporters, { onWarning: (message: string) => void warnings.push(message) }];
    await runAll(banditRun(engine, run, { lrSchedulerType: "constant", maxSteps: 2, resume: true, reporters: told }));
    expect(starts.at(-1)).toMatchObject({ firstStep: 1, maxTokensPerMicrobatch: 300 });
    expect(configOf(run).max_tokens_per_microbatch).toBe(300);
    expect(warnings).toEqual([]);
    const given = { maxTokensPerMicrobatch: 400, resume: true };
    await runAll(banditRun(engine, run, { lrSchedulerType: "constant", maxSteps: 3, ...given, reporters: told }));
    expect(starts.at(-1)?.maxTokensPerMicrobatch).toBe(400);
    expect(warnings).toEqual([expect.stringMatching(/began with micro-batches of 300 tokens, and goes on with 400/)]);
    writeFileSync(join(run, "config.yaml"), stringify({ ...began, max_tokens_per_microbatch: -1 }));
    const broken = runAll(banditRun(engine, run, { lrSchedulerType: "constant", maxSteps: 4, resume: true }));
    await expect(broken).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringMatching(/max_tokens_per_microbatch \(from .*config\.yaml\): expected at least 1, got -1/),
    });
    engine.dispose();
  });

  it("packs what goes into the budget, in supervised training too", async () => {
    const addon = fakeAddon();
    const engine = await Engine.open({ addon });
    const common = {
      objective: "sft" as const,
      model: MODEL,
      dataset: rows(4),
      engine,
      maxSteps: 1,
      promptsPerStep: 4,
    };
    const passes = async (maxTokensPerMicrobatch: number | "auto") => {
      addon.calls.length = 0;
      await runAll(new Trainer({ ...common, outputDir: newRun(), maxTokensPerMicrobatch }));
      const calls = addon.calls.filter(({ verb }) => verb === "accumulate");
      return calls.map(({ args }) => (args as { groups: NativeGroup[] }).groups.length);
    };
    expect(await passes("auto")).toEqual([4]);
    expect(await passes(1)).toEqual([1, 1, 1, 1]);
    engine.dispose();
  });
});

it("refuses budgets that are none", () => {
  const given = (maxTokensPerMicrobatch: unknown) =>
    parseConfig(grpoSchema, { model: "m", dataset: "d", maxTokensPerMicrobatch }).maxTokensPerMicrobatch;
  expect(given("auto")).toBe("auto");
  expect(given(7)).toBe(7);
  for (const bad of [0, -5]) {
    expect(() => given(bad)).toThrow(/^max_tokens_per_microbatch.*: expected at least 1, got/);
  }
  for (const bad of [1.5, "many", null, true]) {
    expect(() => given(bad)).toThrow(/^max_tokens_per_microbatch.*: expected "auto" or a whole number of.*1, got/);
  }
});
