import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Row } from "../../../lib/data/datasets/index.js";
import type { AccumulateArgs, GenerateArgs, GrpoLossArgs } from "../../../lib/engine/index.js";
import type { Reporter, StepReport } from "../../../lib/report/index.js";
import { content, format } from "../../../lib/rewards/index.js";
import { Trainer } from "../../../lib/trainer/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, MODEL, rows, runAll, timeless } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const jsonl = (path: string) =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("a GRPO run", () => {
  test("learns what is rewarded, and says so under TRL's names", async () => {
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine(), outputDir, { maxSteps: 20, evalDataset: rows(3) });
    const before = await trainer.evaluate();
    const reports = await runAll(trainer);
    const after = await trainer.evaluate();
    const reward = (index: number) => reports.at(index)?.metrics.reward ?? 0;
    expect(reports).toHaveLength(20);
    expect(reward(-1)).toBeGreaterThan(reward(0) + 0.5);
    expect(after.scores.reward).toBe(3);
    expect(after.scores).toEqual({ reward: 3, nameAccuracy: 1, numberAccuracy: 1, formatRate: 1 });
    expect(before.metrics["eval_rewards/format/mean"]).toBeDefined();
    const metrics = reports[0]?.metrics ?? {};
    for (const name of TRL_NAMES) expect(metrics).toHaveProperty([name]);
    expect(metrics["sampling/sampling_logp_difference/max"]).toBe(0);
    expect(jsonl(join(outputDir, "metrics.jsonl"))).toHaveLength(22);
    const completions = jsonl(join(outputDir, "completions.jsonl"));
    expect(completions).toHaveLength(20 * 16);
    expect(completions[0]).toMatchObject({ step: 1, rewards: { content: expect.any(Number) }, finish_reason: "stop" });
    await trainer.dispose();
  });

  test("takes reward functions, weights them, and names their metrics", async () => {
    const always = () => 2;
    const trainer = banditRun(await banditEngine(), newRun(), {
      rewards: [content(), format(), always, () => null],
      rewardWeights: [1, 0, 10, 1],
      maxSteps: 1,
    });
    const [report] = await runAll(trainer);
    expect(report?.metrics["rewards/always/mean"]).toBe(2);
    expect(report?.metrics["rewards/reward/mean"]).toBeNaN();
    expect(report?.metrics.reward).toBeCloseTo((report?.metrics["rewards/content/mean"] ?? 0) + 20, 9);
    expect(Object.keys(report?.completions[0]?.rewards ?? {})).toEqual(["content", "format", "always", "reward"]);
  });

  test("skips groups without advantage, keeps them in the denominators, and says their share", async () => {
    const seen: GrpoLossArgs[] = [];
    let groups = 0;
    const engine = await banditEngine({
      onVerb: (verb, args) => {
        if (verb !== "accumulate") return;
        seen.push((args as AccumulateArgs).loss as GrpoLossArgs);
        groups += (args as AccumulateArgs).groups.length;
      },
    });
    // Two of the four answers are right in format: groups are mixed or, now and then, all equal.
    const reports = await runAll(banditRun(engine, newRun(), { rewards: ["format"], numGenerations: 2, maxSteps: 4 }));
    const skipped = reports.map(({ metrics }) => metrics.frac_groups_skipped ?? 0);
    expect(Math.max(...skipped)).toBeGreaterThan(0);
    expect(groups).toBe(16 - skipped.reduce((sum, share) => sum + share * 4, 0));
    expect(seen.every(({ totalSequences }) => totalSequences === 8)).toBe(true);
    for (const { advantages } of seen) {
      for (const group of advantages) expect(group.some((value) => value !== 0)).toBe(true);
    }
  });

  test("with equal rewards everywhere still updates, so that moments go on as without skipping", async () => {
    const verbs: string[] = [];
    const engine = await banditEngine({ onVerb: (verb) => verbs.push(verb) });
    const [report] = await runAll(banditRun(engine, newRun(), { rewards: [() => 1], maxSteps: 1 }));
    expect(verbs).toEqual(["generate", "step"]);
    expect(report?.metrics.frac_groups_skipped).toBe(1);
    expect(report?.metrics.frac_reward_zero_std).toBe(1);
    expect(report?.metrics).not.toHaveProperty(["sampling/sampling_logp_difference/max"]);
  });

  test("leaves truncated completions out of the loss when told to", async () => {
    const seen: GrpoLossArgs[] = [];
    const onVerb = (verb: string, args: unknown) => {
      if (verb === "accumulate") seen.push((args as AccumulateArgs).loss as GrpoLossArgs);
    };
    // The token limit cuts the long answers only.
    const options = { maxCompletionLength: 20, maskTruncatedCompletions: true, maxSteps: 2, rewards: [length] };
    const reports = await runAll(banditRun(await banditEngine({ onVerb }), newRun(), options));
    const masks = seen.flatMap(({ mask }) => mask.flatMap((group) => [...group]));
    expect(new Set(masks)).toEqual(new Set([0, 1]));
    for (const [index, { metrics, completions }] of reports.entries()) {
      const kept = completions.filter(({ finishReason }) => finishReason === "stop");
      expect(metrics["completions/clipped_ratio"]).toBeCloseTo(1 - kept.length / completions.length, 12);
      expect(seen[index]?.totalTokens).toBe(kept.reduce((sum, { tokens }) => sum + tokens, 0));
      expect(seen[index]?.totalSequences).toBe(16);
    }
  });

  test("uses the first pass as old log-probabilities of later iterations, and a reference where beta > 0", async () => {
    const seen: GrpoLossArgs[] = [];
    const verbs: string[] = [];
    const onVerb = (verb: string, args: unknown) => {
      verbs.push(verb);
      if (verb === "accumulate") seen.push((args as AccumulateArgs).loss as GrpoLossArgs);
    };
    const options = { numIterations: 2, beta: 0.04, maxSteps: 2, learningRate: 3 };
    const reports = await runAll(banditRun(await banditEngine({ onVerb }), newRun(), options));
    const step = ["generate", "logProbs", "accumulate", "step", "accumulate", "step"];
    expect(verbs).toEqual([...step, ...step]);
    const [first, second, third] = seen;
    expect(first?.oldLogProbs).toEqual([]);
    expect(second?.oldLogProbs).toHaveLength(4);
    // In the first step policy and reference are the same model; in the second they are not.
    expect(second?.oldLogProbs).toEqual(first?.refLogProbs);
    expect(seen[3]?.oldLogProbs).not.toEqual(third?.refLogProbs);
    expect(reports[1]?.metrics).toHaveProperty("kl");
    expect(reports[0]?.metrics["sampling/sampling_logp_difference/max"]).toBe(0);
  });

  test("counts tokens as TRL does, a prompt once per completion, over the whole run", async () => {
    const sizes: number[] = [];
    const onVerb = (verb: string, args: unknown) => {
      if (verb === "generate") sizes.push(...(args as GenerateArgs).prompts.map(({ tokens }) => tokens.length));
    };
    const reports = await runAll(banditRun(await banditEngine({ onVerb }), newRun(), { maxSteps: 2 }));
    const prompts = sizes.reduce((sum, size) => sum + 4 * size, 0);
    const completions = reports.flatMap((report) => report.completions);
    expect(reports[1]?.metrics.num_tokens).toBe(prompts + completions.reduce((sum, { tokens }) => sum + tokens, 0));
  });

  test("gives every row its own random stream, by its place in the run", async () => {
    const first: number[] = [];
    const engine = await banditEngine({
      onVerb: (verb, args) => {
        if (verb === "generate") first.push((args as GenerateArgs).firstRow);
      },
    });
    await runAll(banditRun(engine, newRun(), { maxSteps: 3 }));
    expect(first).toEqual([0, 4, 8]);
  });

  test("lets as many completions grow at once as it is told", async () => {
    const limits: number[] = [];
    const onVerb = (verb: string, args: unknown) => {
      if (verb === "generate") limits.push((args as GenerateArgs).maxRows);
    };
    await runAll(banditRun(await banditEngine({ onVerb }), newRun(), { maxSteps: 1 }));
    await runAll(banditRun(await banditEngine({ onVerb }), newRun(), { maxSteps: 1, maxNumSeqs: 6 }));
    expect(limits).toEqual([128, 6]);
  });

  test("leaves bad rows out, names them once, and draws the others as if nothing had happened", async () => {
    const bad = rows(11);
    bad[2] = { ...bad[2]!, messages: [{ role: "user", content: [{ type: "image" }] }], images: ["/nowhere.png"] };
    const warnings: string[] = [];
    const reporters: Reporter[] = [{ onWarning: (message) => void warnings.push(message) }];
    const options = { shuffleDataset: false, numTrainEpochs: 2, maxSteps: -1, rewards: [() => 1] };
    const good = await runAll(banditRun(await banditEngine(), newRun(), options));
    const reports = await runAll(banditRun(await banditEngine(), newRun(), { ...options, dataset: bad, reporters }));
    expect(warnings.filter((message) => /row-2/.test(message))).toHaveLength(1);
    const said = (list: typeof reports) =>
      list.flatMap((report) => report.completions.filter(({ id }) => id !== "row-2").map((c) => c.completion));
    expect(said(reports)).toEqual(said(good));
    expect(said(reports)).toHaveLength(20 * 4);
  });
});

/** No two answers earn the same, so that hardly any group is without advantage. */
function uneven(completion: string, { id }: Row): number {
  return completion.length + Number(id.slice(4)) / 100;
}

/** Longer completions earn more. */
function length(completion: string): number {
  return completion.length;
}

const TRL_NAMES = [
  "loss",
  "reward",
  "reward_std",
  "frac_reward_zero_std",
  "rewards/content/mean",
  "rewards/format/std",
  "completions/mean_length",
  "completions/min_length",
  "completions/max_length",
  "completions/mean_terminated_length",
  "completions/min_terminated_length",
  "completions/max_terminated_length",
  "completions/clipped_ratio",
  "entropy",
  "clip_ratio/low_mean",
  "clip_ratio/low_min",
  "clip_ratio/high_mean",
  "clip_ratio/high_max",
  "clip_ratio/region_mean",
  "sampling/sampling_logp_difference/mean",
  "sampling/sampling_logp_difference/max",
  "grad_norm",
  "learning_rate",
  "num_tokens",
  "step_time",
];

describe("an interrupted run", () => {
  const longRun = { maxSteps: 9, saveSteps: 4, lrSchedulerType: "cosine" as const, warmupSteps: 2 };

  test("goes on bit for bit, wherever it was stopped", async () => {
    const whole = newRun();
    const expected = await runAll(banditRun(await banditEngine(), whole, longRun));
    for (const [verb, count] of [
      ["generate", 3],
      ["accumulate", 6],
      ["step", 7],
      ["generate", 1],
    ] as const) {
      const outputDir = newRun();
      const controller = new AbortController();
      let left = count;
      const onVerb = (name: string) => {
        if (name === verb && --left === 0) controller.abort(new Error("Ctrl-C"));
      };
      const first = banditRun(await banditEngine({ onVerb }), outputDir, longRun);
      await expect(runAll(first, controller.signal)).rejects.toThrow("Ctrl-C");
      await first.dispose();
      const rest = await runAll(banditRun(await banditEngine(), outputDir, { ...longRun, resume: true }));
      expect(rest.map(timeless)).toEqual(expected.slice(9 - rest.length).map(timeless));
      for (const name of ["state.safetensors", "model.safetensors"]) {
        expect(readFileSync(checkpointFile(outputDir, 9, name))).toEqual(readFileSync(checkpointFile(whole, 9, name)));
      }
      const steps = jsonl(join(outputDir, "metrics.jsonl")).map(({ step }) => step);
      expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(jsonl(join(outputDir, "completions.jsonl"))).toHaveLength(9 * 16);
    }
  });

  test("can go on in the same trainer: a dropped step leaves no gradient behind", async () => {
    const options = { ...longRun, maxTokensPerMicrobatch: 1, rewards: [uneven] };
    const expected = await runAll(banditRun(await banditEngine(), newRun(), options));
    const controller = new AbortController();
    let left = 11;
    const onVerb = (verb: string) => {
      if (verb === "accumulate" && --left === 0) controller.abort(new Error("Ctrl-C"));
    };
    const trainer = banditRun(await banditEngine({ onVerb }), newRun(), options);
    const first: StepReport[] = [];
    const running = (async () => {
      for await (const report of trainer.run({ signal: controller.signal })) first.push(report);
    })();
    await expect(running).rejects.toThrow("Ctrl-C");
    expect(first).toHaveLength(2);
    const rest = await runAll(trainer);
    expect([...first, ...rest].map(timeless)).toEqual(expected.map(timeless));
  });

  test("finishes a step whose weights have changed already", async () => {
    const outputDir = newRun();
    const controller = new AbortController();
    const verbs: string[] = [];
    const onVerb = (verb: string) => {
      verbs.push(verb);
      if (verbs.filter((name) => name === "accumulate").length === 2) controller.abort(new Error("Ctrl-C"));
    };
    const trainer = banditRun(await banditEngine({ onVerb }), outputDir, { numIterations: 3 });
    await expect(runAll(trainer, controller.signal)).rejects.toThrow("Ctrl-C");
    expect(verbs).toEqual(["generate", "accumulate", "step", "accumulate", "step", "accumulate", "step"]);
    expect(existsSync(checkpointFile(outputDir, 1, "trainer.json"))).toBe(true);
  });

  test("goes on from the checkpoint before a damaged one, with a warning", async () => {
    const outputDir = newRun();
    const expected = await runAll(banditRun(await banditEngine(), outputDir, longRun));
    writeFileSync(checkpointFile(outputDir, 9, "state.safetensors"), "torn");
    mkdirSync(join(outputDir, "checkpoints", ".writing-step-000010"));
    const warnings: string[] = [];
    const reporters: Reporter[] = [{ onWarning: (message) => void warnings.push(message) }];
    const resumed = banditRun(await banditEngine(), outputDir, { ...longRun, resume: true, reporters });
    const rest = await runAll(resumed);
    expect(warnings).toEqual([expect.stringContaining("step-000009")]);
    expect(rest.map(timeless)).toEqual(expected.slice(8).map(timeless));
    expect(readdirSync(join(outputDir, "checkpoints"))).toEqual(["step-000008", "step-000009"]);
  });

  test("is not overwritten by mistake, and says how to resume", async () => {
    const outputDir = newRun();
    const controller = new AbortController();
    const onStep = () => controller.abort();
    const interrupted = banditRun(await banditEngine(), outputDir, { ...longRun, reporters: [{ onStep }] });
    await expect(runAll(interrupted, controller.signal)).rejects.toThrow();
    expect(JSON.parse(readFileSync(join(outputDir, "run.json"), "utf8"))).toMatchObject({
      status: "interrupted",
      step: 1,
    });
    const again = banditRun(await banditEngine(), outputDir, longRun);
    await expect(runAll(again)).rejects.toMatchObject({ code: "ERR_STATE", hint: expect.stringContaining("--resume") });
    const replaced = banditRun(await banditEngine(), outputDir, { ...longRun, overwriteOutputDir: true });
    expect(await runAll(replaced)).toHaveLength(9);
  });

  test("refuses to go on with another seed or data", async () => {
    const outputDir = newRun();
    await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 1 }));
    for (const change of [{ seed: 4 }, { dataset: rows(12) }, { promptsPerStep: 2 }]) {
      const resumed = banditRun(await banditEngine(), outputDir, { resume: true, ...change });
      await expect(runAll(resumed)).rejects.toMatchObject({ code: "ERR_CONFIG" });
    }
  });
});

describe("guards", () => {
  test("a gradient that is not finite is warned of; ten in a row stop the run and name the last checkpoint", async () => {
    const warnings: string[] = [];
    const reporters: Reporter[] = [{ onWarning: (message) => void warnings.push(message) }];
    const some = new Set([1, 3, ...Array.from({ length: 10 }, (_, i) => i + 5)]);
    const options = { maxSteps: 30, saveSteps: 5, reporters };
    const trainer = banditRun(await banditEngine({ nonFinite: some }), newRun(), options);
    await expect(runAll(trainer)).rejects.toMatchObject({
      code: "ERR_NON_FINITE",
      hint: expect.stringContaining("step-000010"),
    });
    expect(warnings).toHaveLength(12);
    expect(warnings[0]).toContain("logits");
  });
});

describe("a supervised run", () => {
  test("learns the answers: the loss falls and the greedy answer is right", async () => {
    const trainer = new Trainer({
      objective: "sft",
      model: MODEL,
      dataset: rows(6),
      evalDataset: rows(2),
      engine: await banditEngine(),
      outputDir: newRun(),
      promptsPerStep: 3,
      numTrainEpochs: 10,
      learningRate: 8,
      maxCompletionLength: 64,
    });
    const reports = await runAll(trainer);
    expect(reports).toHaveLength(20);
    expect(reports.at(-1)?.metrics.loss).toBeLessThan((reports[0]?.metrics.loss ?? 0) / 2);
    expect(reports.at(-1)?.epoch).toBe(10);
    expect((await trainer.evaluate()).scores.reward).toBe(3);
    const out = newRun();
    await trainer.save(out);
    expect(existsSync(join(out, "tokenizer.json"))).toBe(true);
    expect(JSON.parse(readFileSync(join(out, "config.json"), "utf8"))).toMatchObject({ dtype: "float32" });
  });
});
