import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadBefore, saveBefore, summaryOf } from "../../../lib/cli/summary.js";
import { type Evaluation, formatSample, pickSamples, recordOf, scoreTable } from "../../../lib/eval/index.js";
import { temporaryFolder } from "../../support/temporary.js";
import { rows } from "../../support/training.js";

const scores = (reward: number, share: number) => ({
  reward,
  nameAccuracy: share,
  numberAccuracy: share / 2,
  formatRate: 1,
});

function evaluation(count: number, text: string): Evaluation {
  const answers = rows(count).map((row, index) => ({
    row: { ...row, images: [`/pictures/studio/${index}.png`] },
    sample: 0,
    completion: `${text} ${index}`,
    rewards: {},
    reward: 1,
    nameRight: true,
    numberRight: true,
    formatRight: true,
    tokens: 3,
    finishReason: "stop" as const,
  }));
  return { scores: scores(1, 1), metrics: {}, answers, failures: { rows: [], rewards: [] } };
}

test("samples are spread over the held-out set, each with both answers", () => {
  const samples = pickSamples(recordOf(evaluation(60, "before")), recordOf(evaluation(60, "after")), 6);
  expect(samples.map(({ picture }) => picture)).toEqual([5, 14, 28, 37, 42, 51].map((n) => `studio/${n}.png`));
  expect(samples[0]).toMatchObject({
    question: "question 5",
    expected: "apple 52",
    before: "before 5",
    after: "after 5",
  });
  expect(formatSample({ ...samples[0]!, after: "two\nlines" })).toEqual([
    "studio/5.png  question 5",
    "  expected  apple 52",
    "  before    before 5",
    "  after     two ⏎ lines",
  ]);
  expect(pickSamples(recordOf(evaluation(2, "a")), recordOf(evaluation(2, "b")), 6)).toHaveLength(2);
});

test("the table shows changes with their sign", () => {
  expect(scoreTable(scores(1.5, 0.5), scores(1.25, 0.75))).toEqual([
    ["held-out", "before", "after", "change"],
    ["mean reward", "1.500", "1.250", "−0.250"],
    ["right name", "50.0 %", "75.0 %", "+25.0 %"],
    ["right number", "25.0 %", "37.5 %", "+12.5 %"],
    ["right format", "100.0 %", "100.0 %", "+0.0 %"],
  ]);
});

test("what a model wrote moves no cursor", () => {
  const sample = {
    picture: "a.png",
    question: "What?",
    expected: "apple",
    before: "\u001b[2Jpear\tpie\n\n1",
    after: "",
  };
  expect(formatSample(sample)).toEqual([
    "a.png  What?",
    "  expected  apple",
    "  before    \ufffd[2Jpear pie ⏎ 1",
    "  after     (nothing)",
  ]);
});

test("the summary has the names that are promised, and the largest difference of all steps", () => {
  const history = [0, null, 0.25, 0].map((maxLogpDifference, step) => ({
    step,
    reward: 1,
    loss: 1,
    maxLogpDifference,
  }));
  const state = { step: 4, seconds: 12.345, history } as Parameters<typeof summaryOf>[2];
  expect(summaryOf(scores(1, 0.5), scores(2, 1), state)).toEqual({
    before: { reward: 1, name_accuracy: 0.5, number_accuracy: 0.25, format_rate: 1 },
    after: { reward: 2, name_accuracy: 1, number_accuracy: 0.5, format_rate: 1 },
    steps: 4,
    train_seconds: 12.3,
    max_sampling_logp_difference: 0.25,
  });
});

test("a run that goes on has its first evaluation again; one that cannot be read is told of and stops nothing", async () => {
  const folder = temporaryFolder();
  let stderr = "";
  const write = (text: string) => {
    stderr += text;
    return true;
  };
  const { signal } = new AbortController();
  const load = () => loadBefore(folder, { version: "", signal, stdout: { write }, stderr: { write }, env: {} });
  expect(await load()).toBeUndefined();
  const record = recordOf(evaluation(3, "before"));
  await saveBefore(folder, record);
  expect(await load()).toEqual(record);
  expect(stderr).toBe("");
  writeFileSync(join(folder, "before.json"), '{"scores": {}, "answers": {"row-0": {"completion": "", "reward": 1}}}');
  expect(await load()).toBeUndefined();
  expect(stderr).toMatch(/^warning: there will be no comparison with the model before this run: .*older version/);
});
