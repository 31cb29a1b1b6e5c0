import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { RewardFunction } from "../../../lib/rewards/index.js";
import { greaterIsBetter, isBetter } from "../../../lib/trainer/best-checkpoint.js";
import { countWithoutBetter, earlyStopReason } from "../../../lib/trainer/early-stopping.js";
import type { GrpoTrainerOptions } from "../../../lib/trainer/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { banditEngine, banditRun, checkpointFile, rows, runAll } from "../../support/training.js";

const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const json = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
const checkpoints = (outputDir: string) => readdirSync(join(outputDir, "checkpoints"));

/** Held-out scores as they are written here, by step; in training what distinguishes completions. */
function scripted(scores: Readonly<Record<number, number>>): RewardFunction {
  return (completion, _, { evaluation, step }) => (evaluation ? (scores[step] ?? 0) : completion.length);
}

const evaluated = (scores: Record<number, number>, more: Partial<GrpoTrainerOptions> = {}) => ({
  rewards: [scripted(scores)],
  evalDataset: rows(2),
  evalSteps: 1,
  ...more,
});

test("better is more, less where the name says so, and never what is no number", () => {
  expect(greaterIsBetter({ metricForBestModel: "eval_reward", greaterIsBetter: undefined })).toBe(true);
  expect(greaterIsBetter({ metricForBestModel: "eval_loss", greaterIsBetter: undefined })).toBe(false);
  expect(greaterIsBetter({ metricForBestModel: "eval_loss", greaterIsBetter: true })).toBe(true);
  expect([isBetter(1, undefined, true), isBetter(1, 1, true), isBetter(2, 1, true), isBetter(2, 1, false)]).toEqual([
    ...[true, false, true, false],
  ]);
  expect(isBetter(Number.NaN, undefined, true)).toBe(false);
});

test("evaluations without a better one are counted as transformers counts them", () => {
  // values, best before each (the greatest so far), threshold 0.1: EarlyStoppingCallback.check_metric_value by hand.
  const options = { patience: 2, threshold: 0.1, greaterIsBetter: true };
  const values = [1, 1.05, 1.2, 1.2, Number.NaN, 2];
  let best: number | undefined;
  let count = 0;
  const counts = values.map((value) => {
    count = countWithoutBetter(count, value, best, options);
    if (isBetter(value, best, true)) best = value;
    return count;
  });
  expect(counts).toEqual([0, 1, 0, 1, 2, 0]);
  expect(earlyStopReason(1, "eval_reward", options)).toBeUndefined();
  expect(earlyStopReason(2, "eval_reward", options)).toBe(
    "early stopped after 2 evaluations without a better eval_reward",
  );
  expect(earlyStopReason(9, "eval_reward", { ...options, patience: 0 })).toBeUndefined();
});

describe("the best checkpoint", () => {
  test("is written when it is found, kept beside the newest ones, and named in best.json", async () => {
    const outputDir = newRun();
    const scores = { 1: 1, 2: 3, 3: 2, 4: 2, 5: 2, 6: 1 };
    await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 6, saveSteps: 2, ...evaluated(scores) }));
    expect(checkpoints(outputDir)).toEqual(["step-000002", "step-000004", "step-000006"]);
    const best = { metric: "eval_reward", value: 3, step: 2 };
    expect(json(join(outputDir, "best.json"))).toEqual({ ...best, checkpoint: "checkpoints/step-000002" });
    const state = json(checkpointFile(outputDir, 6, "trainer.json"));
    expect(state).toMatchObject({ best, withoutBetter: 4 });
    expect(state.evaluations).toEqual(Object.entries(scores).map(([step, value]) => ({ step: Number(step), value })));
  });

  test("is what the run ends with where that is asked for", async () => {
    const [outputDir, model] = [newRun(), newRun()];
    const options = { maxSteps: 4, loadBestModelAtEnd: true, saveModelTo: model, metricForBestModel: "reward" };
    const trainer = banditRun(await banditEngine(), outputDir, { ...evaluated({ 1: 1, 2: 2, 3: 1 }), ...options });
    await runAll(trainer);
    const weights = (path: string) => readFileSync(path, "utf8");
    const best = weights(checkpointFile(outputDir, 2, "model.safetensors"));
    expect(weights(join(model, "model.safetensors"))).toBe(best);
    expect(weights(checkpointFile(outputDir, 4, "model.safetensors"))).not.toBe(best);
    // What is evaluated now has the best weights, and says so.
    expect((await trainer.evaluate()).scores.reward).toBe(2);
  });

  test("is found anew where the metric is another", async () => {
    const outputDir = newRun();
    const options = evaluated({ 1: 2, 2: 1, 3: 1 });
    await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 2, ...options }));
    const warnings: string[] = [];
    const callbacks = { onWarning: (message: string) => void warnings.push(message) };
    const more = { ...options, metricForBestModel: "eval_completions/mean_length", resume: true, callbacks };
    await runAll(banditRun(await banditEngine(), outputDir, { maxSteps: 3, ...more }));
    expect(warnings).toContain(
      "the best checkpoint so far was that of eval_reward; by eval_completions/mean_length counting begins anew",
    );
    expect(json(join(outputDir, "best.json"))).toMatchObject({ metric: "eval_completions/mean_length" });
  });
});

describe("early stopping", () => {
  const options = { maxSteps: 9, earlyStoppingPatience: 2, ...evaluated({ 1: 1, 2: 2, 3: 2, 4: 1, 5: 3 }) };

  test("finishes the run and says why; a resumed one stays finished, unless it is to wait longer", async () => {
    const outputDir = newRun();
    const ends: unknown[] = [];
    const callbacks = { onEnd: (end: unknown) => void ends.push(end) };
    const reports = await runAll(banditRun(await banditEngine(), outputDir, { ...options, callbacks }));
    expect(reports).toHaveLength(4);
    const reason = "early stopped after 2 evaluations without a better eval_reward";
    expect(ends).toEqual([expect.objectContaining({ status: "finished", step: 4, reason })]);
    expect(json(join(outputDir, "run.json"))).toEqual({ status: "finished", step: 4, totalSteps: 9, reason });
    const lines = () => readFileSync(join(outputDir, "metrics.jsonl"), "utf8");
    const before = lines();
    expect(await runAll(banditRun(await banditEngine(), outputDir, { ...options, resume: true }))).toEqual([]);
    expect(lines()).toBe(before);
    const patient = { ...options, earlyStoppingPatience: 4, resume: true };
    expect((await runAll(banditRun(await banditEngine(), outputDir, patient)))[0]?.step).toBe(5);
  });

  test("goes on counting after an interruption in the middle of an evaluation, and ends the same", async () => {
    const [whole, broken] = [newRun(), newRun()];
    await runAll(banditRun(await banditEngine(), whole, options));
    const controller = new AbortController();
    let evaluations = 0;
    // Greedy sampling is that of evaluations.
    const onVerb = (verb: string, args: unknown) => {
      const greedy = verb === "generate" && (args as { sampling: { temperature: number } }).sampling.temperature === 0;
      if (greedy && ++evaluations === 2) controller.abort(new Error("Ctrl-C"));
    };
    const interrupted = banditRun(await banditEngine({ onVerb }), broken, options);
    await expect(runAll(interrupted, controller.signal)).rejects.toThrow("Ctrl-C");
    expect(json(checkpointFile(broken, 2, "trainer.json"))).toMatchObject({ evaluations: [{ step: 1, value: 1 }] });
    await runAll(banditRun(await banditEngine(), broken, { ...options, resume: true }));
    const end = (outputDir: string) => {
      const { seconds, ...state } = json(checkpointFile(outputDir, 4, "trainer.json"));
      return { ...state, best: json(join(outputDir, "best.json")), kept: checkpoints(outputDir) };
    };
    expect(end(broken)).toEqual(end(whole));
  });
});

describe("is refused before anything is loaded", () => {
  test.each([
    [{ evalSteps: 2 }, /eval_steps is 2, but there is nothing to evaluate on/],
    [{ earlyStoppingPatience: 2 }, /early_stopping_patience would have no evaluation to go by: eval_steps is 0/],
    [{ loadBestModelAtEnd: true, evalDataset: rows(1) }, /load_best_model_at_end would have no evaluation/],
    [{ numGenerationsEval: 4 }, /num_generations_eval is 4, but eval_temperature is 0/],
  ])("%j", async (options, message) => {
    const engine = await banditEngine();
    expect(() => banditRun(engine, newRun(), options)).toThrow(message);
  });

  test("a metric that evaluations do not have, with the names of those that they have", async () => {
    const outputDir = newRun();
    const trainer = banditRun(await banditEngine(), outputDir, { ...evaluated({}), metricForBestModel: "rewrad" });
    await expect(runAll(trainer)).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: "metric_for_best_model: there is no eval_rewrad",
      hint: expect.stringMatching(/has eval_reward, eval_name_accuracy, .*eval_rewards\/reward\/mean/),
    });
    expect(existsSync(join(outputDir, "checkpoints"))).toBe(false);
  });
});
