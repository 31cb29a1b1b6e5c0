import { beforeEach, describe, expect, it, vi } from "vitest";
import type { EstimateArgs } from "../../../lib/engine/index.js";
import type * as Load from "../../../lib/engine/load.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";

let addon = fakeAddon();

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

const MODEL = goldenPath("qwen2_5_vl_a");
const DATA = goldenPath("conversations.json");
/** 8 groups of 300 + 8 · 100 tokens, in micro-batches of at most 2: 3.2 GB with the fake's gigabyte of weights. */
const STEP = ["--preset", "tiny", "--prompt-tokens", "300", "--max-completion-length", "100"];
const BUDGET = ["--max-tokens-per-microbatch", "2200"];

function use(options: FakeOptions = {}) {
  addon = fakeAddon(options);
}

function asked(): EstimateArgs[] {
  return addon.calls.filter(({ verb }) => verb === "estimate").map(({ args }) => args as EstimateArgs);
}

async function json(args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCli(["estimate", ...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return jsonLines(stdout)[0] ?? {};
}

beforeEach(() => use());

describe("estimate", () => {
  it("prints the machine form", async () => {
    const result = await json([...STEP, ...BUDGET, "--memory", "2000GB"]);
    expect(result).toMatchObject({
      device: "cpu/avx2/2",
      parameters: 10,
      prompts_from: "as given",
      num_generations: 8,
      max_completion_length: 100,
      max_tokens_per_microbatch: 2200,
      micro_batches: 4,
      updates_per_rollout: 1,
      largest_phase: "train",
      kept: 500,
      memory: 2e12,
      fits: true,
      largest_num_generations: 512,
      advice: [],
    });
    expect(result.prompts).toEqual(Array(8).fill({ tokens: 300, grids: [] }));
    const kinds = { gradients: 0, optimizer: 0, kv_cache: 0, workspace: 0 };
    expect(result.phases).toEqual([
      { name: "load", weights: 1e9, activations: 0, ...kinds, total: 1e9 },
      { name: "train", weights: 1e9, activations: 2.2e9, ...kinds, total: 3.2e9 },
    ]);
    expect(result.peak).toBe(3.2e9 + 500 + (result.process as number));
    expect(result.process).toBeGreaterThan(20e6);
  });

  it("knows rollouts that several updates are made of", async () => {
    const options = [...STEP, ...BUDGET, "--gradient-accumulation-steps", "2", "--steps-per-generation", "4"];
    const result = await json([...options, "--memory", "2000GB"]);
    // 8 prompts a step of accumulation, two of which make an update: 16 groups of 1100 tokens, two at a time, twice.
    expect(result).toMatchObject({ updates_per_rollout: 2, micro_batches: 16 });
    expect(result.prompts).toHaveLength(32);
    const { stdout } = await runCli(["estimate", ...options]);
    expect(stdout).toMatch(/^a step: 32 prompts of .*; 2 updates, 16 micro-batches of at most 2200 tokens/m);
  });

  it("says what makes a run smaller that does not fit, and which group would", async () => {
    const { peak } = (await json([...STEP, ...BUDGET])) as { peak: number };
    // The process is not the same twice: half of what one group less saves is room enough.
    const result = await json([...STEP, ...BUDGET, "--memory", String(Math.floor(peak - 550e6))]);
    expect(result.fits).toBe(false);
    expect(result.advice).toContainEqual({
      options: { max_tokens_per_microbatch: 1100 },
      peak: expect.any(Number),
      fits: true,
    });
    const largest = result.largest_num_generations as number;
    const group = 300 + 100 * largest;
    expect(Math.max(1, Math.floor(2200 / group)) * group).toBeLessThan(2200);
    expect(largest).toBeGreaterThan(8);
  });

  it("chooses the micro-batches as a run would where it is not told", async () => {
    // One group is more than the efficient size.
    const plenty = await json([...STEP, "--memory", "2000GB"]);
    expect(plenty).toMatchObject({ max_tokens_per_microbatch: 1100, micro_batches: 8, fits: true });
    const SMALL = ["--preset", "tiny", "--prompt-tokens", "40", "--max-completion-length", "20"];
    const small = await json([...SMALL, "--memory", "2000GB"]);
    expect(small).toMatchObject({ max_tokens_per_microbatch: 1024, micro_batches: 2, fits: true });
    // 5 groups of 200 tokens, of which 2 go into half.
    const tight = await json([...SMALL, "--memory", String((small.peak as number) - 400e6)]);
    expect(tight).toMatchObject({ max_tokens_per_microbatch: 512, micro_batches: 4, fits: true, advice: [] });
    const none = await json([...SMALL, "--memory", "1GB"]);
    expect(none).toMatchObject({ max_tokens_per_microbatch: 200, micro_batches: 8, fits: false });
    expect(JSON.stringify(none.advice)).not.toContain("max_tokens_per_microbatch");
    // What it needs with one group at a time.
    expect(tight.largest_num_generations).toBeGreaterThan(20);
  });

  it("shows both in tables", async () => {
    const { stdout, code } = await runCli(["estimate", ...STEP, ...BUDGET, "--memory", "1GB", "--image", "300x200"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^10 parameters, all trained; cpu\/avx2\/2$/m);
    expect(stdout).toMatch(
      /8 prompts of 377 tokens with 1 picture \(as given\), 8 completions of 100 tokens each; 8 micro-batches of at most 2200 tokens or one group/,
    );
    expect(stdout).toMatch(/^GB in use at most +weights +gradients +optimizer +activations +KV cache/m);
    expect(stdout).toMatch(/^forward and backward +1\.00 +0\.00 +0\.00 +1\.18 +0\.00 +0\.00 +2\.18$/m);
    expect(stdout).toMatch(/^it does not fit in 1\.00 GB; no group fits in 1\.00 GB$/m);
    expect(stdout).toMatch(/^peak +\d+\.\d\d$/m);
  });

  it("takes the options of train, and its files", async () => {
    await json([
      ...STEP,
      "--use-peft",
      "--lora-r",
      "3",
      "--beta",
      "0.04",
      "--precision",
      "bf16",
      "--num-generations",
      "2",
    ]);
    expect(asked()[0]).toMatchObject({
      train: "lora",
      precision: "bf16",
      reference: "same",
      completions: 2,
      maxNewTokens: 100,
      storedDtype: "bf16",
      gradientCheckpointing: true,
    });
    expect(asked()[0]?.lora?.modules[0]?.rank).toBe(3);
    use();
    const config = new URL("../../../examples/food/train.yaml", import.meta.url).pathname;
    await json(["--config", config, "--preset", "starter", "--prompt-tokens", "40", "--stored-dtype", "f32"]);
    expect(asked()[0]).toMatchObject({
      completions: 8,
      maxNewTokens: 48,
      gradientCheckpointing: false,
      storedDtype: "f32",
    });
    expect(asked()[0]?.prompts).toHaveLength(16);
  });

  it("measures the prompts of a data set", async () => {
    const result = await json([
      "--model",
      MODEL,
      "--dataset",
      DATA,
      "--max-completion-length",
      "8",
      "--eval-dataset",
      DATA,
    ]);
    expect(result.prompts_from).toMatch(/^the longest of (\d+) rows looked at, of \1$/);
    const [args] = asked();
    expect(args).toMatchObject({ storedDtype: "f32", maxRows: 128, evaluated: 64, evaluatedRows: 16 });
    const tokens = args?.prompts.map((prompt) => prompt.tokens) ?? [];
    expect(tokens).toHaveLength(8);
    expect(tokens[0]).toBe(Math.max(...tokens));
    expect(args?.prompts.some(({ grids }) => grids.length > 0)).toBe(true);
    use();
    await json(["--model", MODEL, "--dataset", DATA, "--max-completion-length", "8", "--max-pixels", "3136"]);
    expect(Math.max(...(asked()[0]?.prompts.map((prompt) => prompt.tokens) ?? []))).toBeLessThan(tokens[0] as number);
  });

  it("knows a held-out split, and prompts that are left out for their length", async () => {
    const options = ["--model", MODEL, "--dataset", DATA, "--max-completion-length", "8", "--val-split-ratio", "0.2"];
    await json(options);
    const [all] = asked();
    expect(all).toMatchObject({ evaluated: 64, evaluatedRows: 16 });
    const longest = Math.max(...(all?.prompts.map(({ tokens }) => tokens) ?? []));
    use();
    await json([...options, "--max-prompt-length", String(longest - 1)]);
    expect(Math.max(...(asked()[0]?.prompts.map(({ tokens }) => tokens) ?? []))).toBeLessThan(longest);
  });

  it("refuses what says too little or too much", async () => {
    for (const [args, message] of [
      [["--prompt-tokens", "3"], "either --model or --preset"],
      [["--prompt-tokens", "3", "--model", MODEL, "--preset", "tiny"], "either --model or --preset"],
      [["--preset", "tiny"], "expected --prompt-tokens, or --model and --dataset"],
      [["--preset", "tiny", "--image", "30", "--prompt-tokens", "3"], "expected WIDTHxHEIGHT"],
      [["--preset", "tiny", "--memory", "much", "--prompt-tokens", "3"], "expected a size such as 16GB"],
      [["--preset", "tiny", "--prompt-tokens", "3", "--lora-r", "3"], "needs use_peft"],
    ] as const) {
      const { code, stderr } = await runCli(["estimate", ...args]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });
});
