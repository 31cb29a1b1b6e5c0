import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Row } from "../../../lib/data/datasets/index.js";
import type { AccumulateArgs, GenerateArgs, GrpoLossArgs } from "../../../lib/engine/index.js";
import { batchPlan } from "../../../lib/trainer/batch-plan.js";
import type { GrpoTrainerOptions } from "../../../lib/trainer/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, rows, runAll, timeless } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;

interface Seen {
  verbs: string[];
  losses: GrpoLossArgs[];
  prompts: number[];
}

async function watched(more: Partial<GrpoTrainerOptions>, signal?: AbortSignal) {
  const seen: Seen = { verbs: [], losses: [], prompts: [] };
  const onVerb = (verb: string, args: unknown) => {
    seen.verbs.push(verb);
    if (verb === "accumulate") seen.losses.push((args as AccumulateArgs).loss as GrpoLossArgs);
    if (verb === "generate") seen.prompts.push((args as GenerateArgs).prompts.length);
  };
  const trainer = banditRun(await banditEngine({ onVerb }), join(folder, `run-${runs++}`), {
    maxTokensPerMicrobatch: 100_000,
    ...more,
  });
  const reports = await runAll(trainer, signal);
  return { ...seen, reports, trainer };
}

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((total, value) => total + value, 0);

describe("the questions of a step", () => {
  test("are those of TRL's batch sizes", () => {
    const plan = (promptsPerStep: number, gradientAccumulationSteps: number, stepsPerGeneration?: number) =>
      Object.values(batchPlan({ promptsPerStep, gradientAccumulationSteps, stepsPerGeneration }));
    expect(plan(8, 1)).toEqual([8, 1, 8]);
    expect(plan(8, 4)).toEqual([32, 1, 32]);
    expect(plan(2, 2, 6)).toEqual([4, 3, 12]);
    // The policy does not change within an update: sampled in four parts, or at once.
    expect(plan(2, 4, 1)).toEqual([8, 1, 8]);
    expect(() => plan(2, 2, 5)).toThrow(/steps_per_generation: expected a multiple of .* \(2\), got 5/);
  });

  test("make several updates of one rollout; later ones know the policy that sampled", async () => {
    const { verbs, losses, prompts, reports } = await watched({
      ...{ promptsPerStep: 2, gradientAccumulationSteps: 2, stepsPerGeneration: 4, maxSteps: 1 },
      ...{ rewards: [(completion: string) => completion.length], lossType: "grpo" },
    });
    expect(verbs).toEqual(["generate", "accumulate", "step", "accumulate", "step"]);
    expect(prompts).toEqual([8]);
    expect(losses.map(({ totalSequences }) => totalSequences)).toEqual([16, 16]);
    expect(losses[0]?.oldLogProbs).toEqual([]);
    expect(losses[1]?.oldLogProbs).toHaveLength(losses[1]?.advantages.length ?? -1);
    expect(reports[0]?.metrics).toMatchObject({ num_updates: 2, num_skipped_updates: 0 });
  });

  test("are gone through num_iterations times, each time with the old policy of the rollout", async () => {
    const { verbs, losses } = await watched({
      ...{ promptsPerStep: 2, stepsPerGeneration: 2, numIterations: 2, maxSteps: 1, beta: 0.1, learningRate: 0.1 },
    });
    const update = ["accumulate", "step"];
    expect(verbs).toEqual(["generate", "logProbs", ...update, ...update, ...update, ...update]);
    // The first half of the first pass is on-policy; when it comes again it is not, and its old policy is the same.
    expect(losses[0]?.oldLogProbs).toEqual([]);
    expect(losses[3]?.oldLogProbs).toEqual(losses[1]?.oldLogProbs);
    expect(losses[2]?.oldLogProbs).toHaveLength(2);
  });

  test("weigh the same in dapo whichever update they are in, and by their own update in bnpo", async () => {
    const options = { promptsPerStep: 2, stepsPerGeneration: 2, maxSteps: 1, beta: 0.1 };
    const tokens = ({ reports }: Awaited<ReturnType<typeof watched>>) => {
      const lengths = reports[0]?.completions.map((one) => one.tokens) ?? [];
      return [sum(lengths.slice(0, 8)), sum(lengths.slice(8))] as const;
    };
    const dapo = await watched({ ...options, lossType: "dapo" });
    const [first, second] = tokens(dapo);
    expect(first).not.toBe(second);
    expect(dapo.losses.map(({ totalTokens }) => totalTokens)).toEqual([(first + second) / 2, (first + second) / 2]);
    const bnpo = await watched({ ...options, lossType: "bnpo" });
    expect(bnpo.losses.map(({ totalTokens }) => totalTokens)).toEqual([...tokens(bnpo)]);
  });

  test("are fewer at the end of the data, and make as many updates as they are enough for", async () => {
    const { prompts, reports } = await watched({
      ...{ maxSteps: -1, numTrainEpochs: 1, promptsPerStep: 2, stepsPerGeneration: 4 },
    });
    expect(prompts).toEqual([8, 3]);
    expect(reports.map(({ metrics }) => metrics.num_updates)).toEqual([4, 2]);
    expect(reports.map(({ totalSteps }) => totalSteps)).toEqual([2, 2]);
  });
});

describe("dynamic sampling", () => {
  /** Only every third question tells answers apart. */
  const reward = (completion: string, { id }: Row) =>
    Number(id.slice("row-".length)) % 3 === 0 ? completion.length % 7 : 1;
  const options: Partial<GrpoTrainerOptions> = {
    ...{ dynamicSampling: true, rewards: [reward], shuffleDataset: false, dataset: rows(30) },
    ...{ promptsPerStep: 3, numGenerations: 8, learningRate: 0.01 },
  };

  test("fills the step with questions that teach something, and says what it dropped", async () => {
    const { prompts, reports, losses, trainer } = await watched({ ...options, maxSteps: 1 });
    // 0 | 1 2: one of three is kept, so two more are drawn, until there are three: 0, 3, 6.
    expect(sum(prompts)).toBeGreaterThan(6);
    expect(losses).toHaveLength(1);
    expect(losses[0]?.advantages).toHaveLength(3);
    for (const advantages of losses[0]?.advantages ?? []) expect(advantages.some((value) => value !== 0)).toBe(true);
    const [report] = reports;
    expect(report?.completions).toHaveLength(8 * sum(prompts));
    expect(report?.metrics).toMatchObject({
      "dynamic_sampling/rounds": prompts.length,
      "dynamic_sampling/dropped_groups": sum(prompts) - 3,
      frac_groups_skipped: 0,
    });
    // What the policy is like is told of all questions, not of those that were kept.
    expect(report?.metrics.frac_reward_zero_std).toBeCloseTo(1 - 3 / sum(prompts), 9);
    expect((await trainer.state())?.position).toBe(sum(prompts));
  });

  test("gives up after max_num_gen_batches, says so, and trains on what there is", async () => {
    const warnings: string[] = [];
    const reporters = [{ onWarning: (message: string) => void warnings.push(message) }];
    const more = { maxNumGenBatches: 2, maxSteps: 1, reporters };
    const { prompts, losses } = await watched({ ...options, ...more });
    expect(prompts).toEqual([3, 2]);
    expect(losses[0]?.advantages.length).toBeLessThan(3);
    expect(warnings.join("\n")).toMatch(/dynamic sampling found \d of 3 groups .* in 2 rounds .*max_num_gen_batches/);
  });

  test("ends the run where the data do, in fewer steps than were planned", async () => {
    const { reports, prompts } = await watched({ ...options, maxSteps: -1, numTrainEpochs: 1 });
    expect(sum(prompts)).toBe(30);
    expect(reports.length).toBeLessThan(reports[0]?.totalSteps ?? 0);
  });

  test("goes on after an interruption with the rows that were not taken yet", async () => {
    const whole = await watched({ ...options, maxSteps: 4 });
    const stop = new AbortController();
    const outputDir = join(folder, `run-${runs++}`);
    const reporters = [{ onStep: ({ step }: { step: number }) => void (step === 2 && stop.abort(new Error("stop"))) }];
    await expect(watched({ ...options, maxSteps: 4, outputDir, reporters }, stop.signal)).rejects.toThrow("stop");
    const rest = await watched({ ...options, maxSteps: 4, outputDir, resume: true });
    expect(rest.reports.map(timeless)).toEqual(whole.reports.slice(2).map(timeless));
  });

  test.each([
    ["in a later round of sampling", "generate", 6],
    ["while entropies are computed", "logProbs", 3],
    ["while the first update is computed", "accumulate", 5],
    ["between two updates of a step", "accumulate", 6],
  ])(
    "with updates and entropies that depend on all before, interrupted %s, goes on bit for bit",
    async (_, verb, at) => {
      const all: Partial<GrpoTrainerOptions> = {
        ...{ ...options, maxSteps: 4, promptsPerStep: 2, stepsPerGeneration: 2, topEntropyQuantile: 0.5 },
        ...{ useAdaptiveEntropy: true, entropyTarget: 1, entropyCoefDelta: 0.1, saveSteps: 1 },
      };
      const whole = join(folder, `run-${runs++}`);
      const expected = await watched({ ...all, outputDir: whole });
      expect(expected.prompts.length).toBeGreaterThan(6);
      const stop = new AbortController();
      const outputDir = join(folder, `run-${runs++}`);
      let left = at;
      const onVerb = (name: string) => {
        left -= Number(name === verb);
        if (left === 0) stop.abort(new Error("stop"));
      };
      const interrupted = banditRun(await banditEngine({ onVerb }), outputDir, {
        maxTokensPerMicrobatch: 100_000,
        ...all,
      });
      await expect(runAll(interrupted, stop.signal)).rejects.toThrow("stop");
      const rest = await watched({ ...all, outputDir, resume: true });
      expect(rest.reports.length).toBeGreaterThan(0);
      expect(rest.reports.map(timeless)).toEqual(expected.reports.slice(4 - rest.reports.length).map(timeless));
      const state = (of: string) => {
        const text = readFileSync(checkpointFile(of, 4, "trainer.json"), "utf8");
        return JSON.parse(text, (key, value) => (key === "seconds" || key === "files" ? undefined : value)) as unknown;
      };
      expect(state(outputDir)).toEqual(state(whole));
      expect(state(whole)).toMatchObject({ objectiveState: { entropyCoef: expect.any(Number) } });
      const moments = (of: string) => readFileSync(checkpointFile(of, 4, "state.safetensors"));
      expect(moments(outputDir)).toEqual(moments(whole));
    },
  );

  test("interrupted in the calls of a reward drops the step, and goes on bit for bit", async () => {
    const expected = await watched({ ...options, maxSteps: 3 });
    const stop = new AbortController();
    const outputDir = join(folder, `run-${runs++}`);
    const interrupting = async (completion: string, row: Row, { step }: { step: number }) => {
      if (step > 0) stop.abort(new Error("stop"));
      return stop.signal.aborted ? new Promise<number>(() => undefined) : reward(completion, row);
    };
    const hangs = watched({ ...options, maxSteps: 3, outputDir, rewards: [interrupting] }, stop.signal);
    await expect(hangs).rejects.toThrow("stop");
    const named = Object.defineProperty(reward.bind(undefined), "name", { value: "reward" });
    const rest = await watched({ ...options, maxSteps: 3, outputDir, resume: true, rewards: [named] });
    const told = (reports: typeof rest.reports) => reports.map(({ step, metrics: { reward: mean } }) => [step, mean]);
    expect(told(rest.reports)).toEqual(told(expected.reports.slice(3 - rest.reports.length)));
  });

  test("without a single group that teaches anything makes no update", async () => {
    const { reports, verbs } = await watched({
      ...{ ...options, rewards: [() => 1], maxNumGenBatches: 2, maxSteps: 1, numGenerations: 4 },
    });
    expect(verbs).toEqual(["generate", "generate"]);
    expect(reports[0]?.metrics.num_updates).toBeUndefined();
  });
});

test("the tokens of highest entropy alone are learned from, over all of an update", async () => {
  const { verbs, losses } = await watched({ topEntropyQuantile: 0.25, maxSteps: 1, lossType: "grpo" });
  expect(verbs).toEqual(["generate", "logProbs", "accumulate", "step"]);
  const masks = losses[0]?.tokenMask.flat() ?? [];
  const kept = masks.reduce((count, mask) => count + sum(mask), 0);
  const all = masks.reduce((count, mask) => count + mask.length, 0);
  expect(kept).toBeLessThan(0.5 * all);
  expect(kept).toBeGreaterThan(0);
  // Entropies grow along a completion in this model, so a mask is zeros, then ones.
  for (const mask of masks) expect(Array.from(mask)).toEqual(Array.from(mask).sort());
});

test("the reward that is reported is the weighted sum of the rewards, whatever is compared", async () => {
  const letters = (completion: string) => completion.length;
  const odd = (completion: string) => completion.length % 2;
  const { reports } = await watched({
    ...{
      multiObjectiveAggregation: "normalize_then_sum",
      rewards: [letters, odd],
      rewardWeights: [0.5, 2],
      maxSteps: 1,
    },
  });
  const metrics = reports[0]?.metrics ?? {};
  expect(metrics.reward).toBeGreaterThan(0);
  expect(metrics.reward).toBeCloseTo(
    0.5 * (metrics["rewards/letters/mean"] as number) + 2 * (metrics["rewards/odd/mean"] as number),
    9,
  );
});

test("an entropy bonus needs every group, and has a mean over its tokens", async () => {
  const { losses, reports } = await watched({ entropyCoef: 0.02, maxSteps: 1, rewards: [() => 1] });
  expect(losses[0]).toMatchObject({ entropyCoef: 0.02 });
  expect(losses[0]?.advantages).toHaveLength(4);
  expect(losses[0]?.totalEntropyTokens).toBe(sum((reports[0]?.completions ?? []).map(({ tokens }) => tokens)));
  expect(reports[0]?.metrics).toMatchObject({ entropy_coef: 0.02, frac_groups_skipped: 0 });
  expect(reports[0]?.metrics).toHaveProperty("policy_loss");
});

describe("a reference that follows the policy", () => {
  test("does so every ref_model_sync_steps, by alpha", async () => {
    const { verbs } = await watched({
      ...{ beta: 0.04, syncRefModel: true, refModelSyncSteps: 2, refModelMixupAlpha: 0.5, maxSteps: 4 },
    });
    const step = ["generate", "logProbs", "accumulate", "step"];
    expect(verbs).toEqual([...step, ...step, "blend", ...step, ...step, "blend"]);
  });

  test("is refused without KL, and with LoRA", async () => {
    await expect(watched({ syncRefModel: true })).rejects.toThrow("sync_ref_model needs beta above 0");
    await expect(watched({ syncRefModel: true, beta: 0.04, usePeft: true })).rejects.toThrow(
      "sync_ref_model cannot be used with LoRA",
    );
  });
});

test.each([
  [{ lossType: "luspo" }, "loss_type luspo needs importance_sampling_level sequence, got token"],
  [
    { lossType: "vespo", importanceSamplingLevel: "sequence" },
    "loss_type vespo needs importance_sampling_level token, got sequence",
  ],
  [{ entropyCoefMin: 0.5, entropyCoefMax: 0.1 }, "entropy_coef_min 0.5 is above entropy_coef_max 0.1"],
] as const)("options that mean nothing together are refused at once: %j", async (more, message) => {
  await expect(watched(more)).rejects.toMatchObject({ code: "ERR_CONFIG", message });
});
