import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { JsonlReporter } from "../../../lib/report/index.js";
import { temporaryFolder } from "../../support/temporary.js";

const base = {
  objective: "grpo" as const,
  totalSteps: 9,
  rows: 1,
  parameters: 1,
  trainableParameters: 1,
  maxTokensPerMicrobatch: 2048,
};
const step = (number: number, metrics: Record<string, number>) => ({
  step: number,
  totalSteps: 9,
  epoch: number,
  metrics,
  completions: [],
});

test("a resumed run drops what came after its checkpoint, and a torn last line", async () => {
  const outputDir = temporaryFolder();
  const reporter = new JsonlReporter(outputDir, { completions: true });
  await reporter.onStart({ ...base, outputDir, firstStep: 0 });
  await reporter.onEvaluation(0, { eval_reward: 1 });
  for (const number of [1, 2, 3]) await reporter.onStep(step(number, { reward: number }));
  const path = join(outputDir, "metrics.jsonl");
  appendFileSync(path, '{"step":4,"rew');
  await new JsonlReporter(outputDir, { completions: true }).onStart({ ...base, outputDir, firstStep: 2 });
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { step: 0, eval_reward: 1 },
    { step: 1, epoch: 1, reward: 1 },
    { step: 2, epoch: 2, reward: 2 },
  ]);
});

test("what is not a number is null, as JSON has it", async () => {
  const outputDir = temporaryFolder();
  const reporter = new JsonlReporter(outputDir, { completions: false });
  await reporter.onStart({ ...base, outputDir, firstStep: 0 });
  await reporter.onStep(step(1, { reward: Number.NaN }));
  expect(JSON.parse(readFileSync(join(outputDir, "metrics.jsonl"), "utf8"))).toEqual({
    step: 1,
    epoch: 1,
    reward: null,
  });
});

test("a completion may hold any character, and a record of many megabytes is kept as it was", async () => {
  const outputDir = temporaryFolder();
  const reporter = new JsonlReporter(outputDir, { completions: true });
  await reporter.onStart({ ...base, outputDir, firstStep: 0 });
  const completion = `寿司\u2028\u2029\r\u0085🍣${"x".repeat(70_000)}`;
  const record = {
    id: "a",
    completion,
    solution: "",
    rewards: {},
    advantage: 0,
    tokens: 1,
    finishReason: "stop" as const,
  };
  for (const number of [1, 2, 3]) {
    await reporter.onStep({ ...step(number, {}), completions: Array.from({ length: 20 }, () => record) });
  }
  const path = join(outputDir, "completions.jsonl");
  const before = readFileSync(path, "utf8").trimEnd().split("\n");
  await new JsonlReporter(outputDir, { completions: true }).onStart({ ...base, outputDir, firstStep: 2 });
  expect(readFileSync(path, "utf8")).toBe(`${before.slice(0, 40).join("\n")}\n`);
  expect(readdirSync(outputDir).sort()).toEqual(["completions.jsonl", "metrics.jsonl", "warnings.jsonl"]);
});

test("an evaluation that is made again after a run went on has one line", async () => {
  const outputDir = temporaryFolder();
  const reporter = new JsonlReporter(outputDir, { completions: false });
  await reporter.onStart({ ...base, outputDir, firstStep: 0 });
  await reporter.onStep(step(1, { reward: 1 }));
  await reporter.onEvaluation(1, { eval_reward: 1 });
  await reporter.onEvaluation(1, { eval_reward: 1 });
  const again = new JsonlReporter(outputDir, { completions: false });
  await again.onStart({ ...base, outputDir, firstStep: 1 });
  await again.onEvaluation(1, { eval_reward: 1 });
  await again.onEvaluation(1, { eval_reward: 2 });
  const lines = readFileSync(join(outputDir, "metrics.jsonl"), "utf8").trimEnd().split("\n").slice(1);
  expect(lines).toEqual(['{"step":1,"eval_reward":1}', '{"step":1,"eval_reward":2}']);
});

test("warnings have the steps that were done; those of a step that is made again are told once", async () => {
  const outputDir = temporaryFolder();
  const lines = () => {
    const text = readFileSync(join(outputDir, "warnings.jsonl"), "utf8");
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as unknown);
  };
  const reporter = new JsonlReporter(outputDir, { completions: false });
  await reporter.onStart({ ...base, outputDir, firstStep: 0 });
  await reporter.onWarning("left out: a");
  await reporter.onStep(step(1, {}));
  await reporter.onWarning("odd\n寿司");
  await reporter.onStep(step(2, {}));
  await reporter.onWarning("late");
  const again = new JsonlReporter(outputDir, { completions: false });
  await again.onStart({ ...base, outputDir, firstStep: 1 });
  await again.onWarning("odd\n寿司");
  await again.onWarning("another");
  expect(lines()).toEqual([
    { step: 0, message: "left out: a" },
    { step: 1, message: "odd\n寿司" },
    { step: 1, message: "another" },
  ]);
  await new JsonlReporter(outputDir, { completions: false }).onStart({ ...base, outputDir, firstStep: 0 });
  expect(lines()).toEqual([]);
});

test("a warning that cannot be written is no error of its own", async () => {
  const outputDir = temporaryFolder();
  const reporter = new JsonlReporter(outputDir, { completions: false });
  await reporter.onStart({ ...base, outputDir, firstStep: 0 });
  rmSync(join(outputDir, "warnings.jsonl"));
  mkdirSync(join(outputDir, "warnings.jsonl"));
  await expect(reporter.onWarning("no room")).resolves.toBeUndefined();
});
