import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadConversations } from "../../lib/data/datasets/index.js";
import { Engine } from "../../lib/engine/index.js";
import type { ProfileReport } from "../../lib/report/index.js";
import { type GrpoTrainerOptions, Trainer } from "../../lib/trainer/index.js";
import { runCli } from "../support/cli.js";
import { goldenPath } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";
import { nested, readTrace, type TraceEvent } from "../support/trace.js";
import { checkpointFile, runAll } from "../support/training.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const MODEL = goldenPath("qwen2_5_vl_a");
const DATA = goldenPath("../../examples/food/train.json");
const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const { rows } = await loadConversations(DATA);

/** Two clocks are compared to within this many microseconds, on a machine that may be busy. */
const CLOCK_SLACK = 1000;

const byLength = (completion: string) => -completion.length;

async function run(outputDir: string, more: Partial<GrpoTrainerOptions> = {}): Promise<ProfileReport[]> {
  const profiles: ProfileReport[] = [];
  const trainer = new Trainer({
    model: MODEL,
    dataset: rows.slice(0, 7),
    rewards: [byLength],
    outputDir,
    device: "cpu",
    threads: 2,
    maxSteps: 5,
    promptsPerStep: 2,
    numGenerations: 3,
    maxCompletionLength: 8,
    beta: 0.04,
    learningRate: 1e-3,
    seed: 5,
    saveSteps: 0,
    reporters: [{ onProfile: (profile) => void profiles.push(profile) }],
    ...more,
  });
  try {
    await runAll(trainer);
  } finally {
    await trainer.dispose();
  }
  return profiles;
}

const cliRun = (out: string, ...more: string[]) => [
  ...["--model", MODEL, "--dataset", DATA, "--device=cpu", "--output-dir", out, "--prompts-per-step", "2"],
  ...more,
];

describe("a profiled run", () => {
  test("writes the same bits, and a trace of its steps after the first", async () => {
    const [plain, profiled] = [newRun(), newRun()];
    expect(await run(plain)).toEqual([]);
    const [profile] = await run(profiled, { profile: true, evalDataset: rows.slice(7, 9), evalSteps: 2, saveSteps: 2 });
    for (const name of ["model.safetensors", "state.safetensors"]) {
      const [there, here] = [profiled, plain].map((out) => readFileSync(checkpointFile(out, 5, name)));
      expect(here?.equals(there as Buffer)).toBe(true);
    }
    expect(profile).toMatchObject({ path: join(profiled, "trace.json"), steps: [2, 4], dropped: 0 });
    // A run that goes on is not profiled again.
    expect(readFileSync(join(profiled, "config.yaml"), "utf8")).not.toContain("profile");

    const { threads } = readTrace(join(profiled, "trace.json"));
    for (const events of threads.values()) nested(events);
    const trainer = nested(threads.get("main") ?? []);
    const steps = trainer.filter(({ event: { name } }) => name === "training step");
    expect(steps.map(({ event }) => event.args.step)).toEqual([2, 3, 4]);
    const paths = (thread: string) =>
      new Set(nested(threads.get(thread) ?? []).map(({ event: { name }, within }) => [...within, name].join(" > ")));
    for (const name of ["rows", "rollout", "rewards", "reference", "micro-batch", "optimizer step"]) {
      expect(paths("main")).toContain(`training step > ${name}`);
    }
    for (const name of ["evaluation > answers", "checkpoint", "reports"]) expect(paths("main")).toContain(name);

    for (const path of [
      "generate > prefill > vision tower > vision layer > attention",
      "generate > prefill > merger > linear",
      "generate > decode step > decoder layer > kv_attention",
      "generate > sampling > sample",
      "logProbs > forward > decoder layer > attention",
      "accumulate > forward > decoder layer > linear",
      "accumulate > loss",
      "accumulate > backward > linear_grad_weight",
      "step > gradient norm > sum_squares",
      "step > update > adamw",
    ]) {
      expect(paths("engine")).toContain(path);
    }
    // One clock: what the engine does for a rollout lies within it.
    const within = (call: TraceEvent, ts: number, dur: number) =>
      call.ts >= ts - CLOCK_SLACK && call.ts + call.dur <= ts + dur + CLOCK_SLACK;
    const rollouts = trainer.filter(({ event: { name } }) => name === "rollout").map(({ event }) => event);
    const generations = (threads.get("engine") ?? []).filter(({ name }) => name === "generate");
    for (const { ts, dur } of rollouts) {
      expect(generations.some((call) => within(call, ts, dur))).toBe(true);
    }
    expect(threads.get("data 1")?.map(({ name }) => name)).toContain("tokenization");
    const linear = profile?.entries.find(({ name }) => name === "linear");
    expect(linear?.gflops).toBeGreaterThan(0);
    expect(profile?.entries.reduce((sum, { share }) => sum + share, 0)).toBeLessThanOrEqual(1);
  });

  test("of a single step profiles that", async () => {
    const path = join(folder, "deep", "one.json");
    const [profile] = await run(newRun(), { profile: path, maxSteps: 1 });
    expect(profile).toMatchObject({ path, steps: [1, 1] });
    expect(existsSync(path)).toBe(true);
  });

  test("goes on where the profile cannot be written any more", async () => {
    const warnings: string[] = [];
    const profile = join(folder, "taken");
    const profiles = await run(newRun(), {
      profile,
      maxSteps: 2,
      reporters: [{ onStart: () => void mkdirSync(profile), onWarning: (message) => void warnings.push(message) }],
    });
    expect(profiles).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining("there is no profile")]);
  });
});

test("an engine is profiled as often as wanted, one profile at a time", async () => {
  using engine = await Engine.open({ device: "cpu" });
  const model = await engine.loadModel(MODEL);
  const prompts = [{ tokens: Int32Array.of(5, 6, 7), images: [] }];
  const spans = [];
  for (let round = 0; round < 2; round += 1) {
    await engine.startProfile();
    await expect(engine.startProfile()).rejects.toMatchObject({ code: "ERR_STATE" });
    const before = 1000 * performance.now();
    await model.generate({ prompts, sampling: { maxNewTokens: 3, temperature: 0 } });
    const { name, names, start, duration } = await engine.stopProfile();
    expect(names[name[0] as number]).toBe("generate");
    expect(start[0]).toBeGreaterThan(before - CLOCK_SLACK);
    expect((start[0] as number) + (duration[0] as number)).toBeLessThan(1000 * performance.now() + CLOCK_SLACK);
    spans.push([...name].map((number) => names[number]));
    await model.generate({ prompts, sampling: { maxNewTokens: 3 } });
  }
  expect(spans[1]).toEqual(spans[0]);
  await expect(engine.stopProfile()).rejects.toMatchObject({ code: "ERR_STATE" });
});

describe("--profile", () => {
  test("prints the ten largest and says where the trace is", async () => {
    const out = newRun();
    const args = ["--num-generations", "2", "--max-completion-length", "6", "--max-steps", "4"];
    const { code, stderr } = await runCli(["train", ...cliRun(out, ...args, "--profile", "--profile-steps", "2")]);
    expect(stderr).toContain(join(out, "trace.json"));
    expect(code).toBe(0);
    const lines = stderr.split("\n");
    const header = lines.findIndex((line) => /^span +thread +calls/.test(line));
    expect(lines[header - 1]).toMatch(/^profile of steps 2–3: \d+ ms, \d+ spans$/);
    const self = lines.slice(header + 1, header + 11).map((line) => Number(line.split(/ {2,}/)[4]));
    expect(self).toHaveLength(10);
    expect(self).toEqual([...self].sort((a, b) => b - a));
    expect(lines[header + 11]).toContain("ui.perfetto.dev");
  });

  test("sft takes a file's name", async () => {
    const file = join(folder, "sft.json");
    const { code } = await runCli(["sft", ...cliRun(newRun(), "--max-steps", "3", "--profile", file)]);
    expect(code).toBe(0);
    const names = (readTrace(file).threads.get("main") ?? []).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["training step", "rows", "micro-batch", "optimizer step"]));
  });

  test("generate and eval take it too", async () => {
    const file = join(folder, "generate.json");
    const prompt = ["--prompt", "2 + 2?", "--max-new-tokens", "3"];
    const generated = await runCli(["generate", "--model", MODEL, ...prompt, "--profile", file]);
    expect(generated.stderr).toMatch(/^profile: \d+ ms/m);
    expect(generated.code).toBe(0);
    expect((readTrace(file).threads.get("engine") ?? []).map(({ name }) => name)).toContain("decode step");
    const data = ["--dataset", goldenPath("conversations.json"), "--max-completion-length", "3", "--json"];
    const evaluated = await runCli(["eval", "--model", MODEL, ...data, "--profile", file]);
    expect(evaluated.code).toBe(0);
    expect(() => JSON.parse(evaluated.stdout)).not.toThrow();
    const main = (readTrace(file).threads.get("main") ?? []).map(({ name }) => name);
    expect(main).toEqual(expect.arrayContaining(["rows", "answers", "rewards"]));
  });

  test("interrupted, the run writes what there is", async () => {
    const out = newRun();
    const args = cliRun(out, "--max-steps", "200", "--logging-steps", "1", "--profile", "--profile-steps", "150");
    const child = spawn(process.execPath, [MAIN, "sft", ...args]);
    let stderr = "";
    let interrupted = false;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      if (stderr.includes("3/200") && !interrupted) interrupted = child.kill("SIGINT");
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(stderr).toMatch(/profile of steps 2–\d+/);
    expect(code).toBe(130);
    for (const events of readTrace(join(out, "trace.json")).threads.values()) nested(events);
  });
});
