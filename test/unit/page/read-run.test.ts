import { execFileSync } from "node:child_process";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { type PictureStore, readPageRun } from "../../../lib/page/index.js";
import { temporaryFolder } from "../../support/temporary.js";

const HOSTILE = "</script><img src=x onerror=alert(1)>\u2028\ud800 寿司 <!--";

/** Keys are the pictures' paths; one of them cannot be shown. */
const paths: PictureStore = { add: async (path) => (path.includes("broken") ? undefined : `/pictures${path}`) };

let folders = 0;
const root = temporaryFolder();

function runFolder(files: Record<string, string | object | object[]>): string {
  const folder = join(root, `run-${folders++}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    const text =
      typeof content === "string"
        ? content
        : Array.isArray(content)
          ? content.map((line) => `${JSON.stringify(line)}\n`).join("")
          : JSON.stringify(content);
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

const answer = (id: string, reward: number | null, more: object = {}) => ({
  id,
  sample: 0,
  images: [`/data/${id}.png`],
  question: `what is ${id}?`,
  solution: "<answer>apple 52</answer>",
  completion: `answer to ${id}`,
  rewards: { content: reward },
  reward,
  name_right: reward === 1,
  number_right: false,
  format_right: true,
  tokens: 7,
  finish_reason: "stop",
  ...more,
});
const record = (answers: object[]) => ({ version: 2, metrics: { eval_reward: 0.5 }, answers });

const completion = (step: number, id: string, more: object = {}) => ({
  step,
  id,
  completion: `text ${step}`,
  solution: "apple 52",
  rewards: { content: 1, format: null },
  advantage: 0.5,
  tokens: 3,
  finish_reason: "length",
  ...more,
});

function environment(place: string) {
  const session = {
    ...{ from_step: 0, started: "2026-01-02T03:04:05.000Z", version: "1", node: "20", system: "Linux" },
    ...{ processor: "P", cores: 2, memory_bytes: 8e9, device: "cpu", threads: 2, isa: "avx2", working_folder: place },
  };
  const model = { name: "m", type: "qwen2_vl", parameters: 10, trainable_parameters: 5 };
  return { objective: "grpo", model, sessions: [session, { ...session, from_step: 40 }] };
}

describe("a finished run", () => {
  const before = ["a", "b", "c", "d"].map((id) => answer(id, 1));
  const after = [answer("a", 1), answer("b", 0.25), answer("c", null), answer("d", 0)];
  const folder = runFolder({
    "run.json": { status: "finished", step: 2, totalSteps: 2, reason: "early" },
    "config.yaml": stringify({ num_generations: 4, rewards: ["content", "format"], reward_weights: [2, 1] }),
    "metrics.jsonl": [
      { step: 0, eval_reward: 1 },
      { step: 1, epoch: 0.5, reward: 0.25, kl: null },
      { step: 2, epoch: 1, reward: 0.5, kl: 0.001 },
      { step: 2, eval_reward: 0.4 },
    ],
    "completions.jsonl": [completion(1, "x"), completion(2, "x"), completion(2, "y", { advantage: null })],
    "before.json": record(before),
    "after.json": record(after),
    "warnings.jsonl": [
      { step: 0, message: HOSTILE },
      { step: 1, message: "again" },
      { step: 2, message: "again" },
    ],
  });

  test("has curves, status and settings", async () => {
    const run = await readPageRun(folder, paths);
    expect(run).toMatchObject({ status: "finished", objective: "grpo", step: 2, totalSteps: 2, reason: "early" });
    expect(run.steps).toEqual({ step: [1, 2], values: { epoch: [0.5, 1], reward: [0.25, 0.5], kl: [null, 0.001] } });
    expect(run.evaluations).toEqual({ step: [0, 2], values: { eval_reward: [1, 0.4] } });
    expect(run.config).toEqual({ num_generations: 4, rewards: ["content", "format"], reward_weights: [2, 1] });
    expect(run.warnings).toEqual([
      { step: 0, message: HOSTILE.replace("\ud800", "\ufffd") },
      { step: 1, message: "again (2 times)" },
    ]);
  });

  test("shows held-out questions before and after, and the deepest falls first", async () => {
    const run = await readPageRun(folder, paths);
    expect(run.gallery.map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
    expect(run.gallery[1]).toEqual({
      id: "b",
      pictures: ["/pictures/data/b.png"],
      question: "what is b?",
      solution: "<answer>apple 52</answer>",
      answers: [
        {
          label: "before",
          text: "answer to b",
          reward: 1,
          rewards: { content: 1 },
          right: { name: true, number: false, format: true },
        },
        {
          label: "after",
          text: "answer to b",
          reward: 0.25,
          rewards: { content: 0.25 },
          right: { name: false, number: false, format: true },
        },
      ],
    });
    expect(run.regressions.map(({ id }) => id)).toEqual(["d", "b"]);
    expect((await readPageRun(folder, paths, { gallery: 2, regressions: 1 })).gallery).toHaveLength(2);
    expect(run.heldOut).toMatchObject({ labels: ["before", "after"], rows: 4 });
    const reward = run.heldOut?.scores.find(({ name }) => name === "reward");
    expect(reward?.first).toBe(1);
    expect(reward?.second).toBeCloseTo(1.25 / 3, 12);
    expect(reward?.difference.value).toBeCloseTo(1.25 / 3 - 1, 12);
  });

  test("shows the newest completions first, with the weighted sum of their rewards", async () => {
    const { completions } = await readPageRun(folder, paths);
    expect(completions.map(({ step, id, reward, advantage }) => [step, id, reward, advantage])).toEqual([
      [2, "x", 2, 0.5],
      [2, "y", 2, 0],
      [1, "x", 2, 0.5],
    ]);
    expect((await readPageRun(folder, paths, { completions: 1 })).completions).toMatchObject([{ id: "y" }]);
  });
});

test("completions have question and picture from the data set, relative to where the run was started", async () => {
  const place = join(root, "place");
  mkdirSync(join(place, "data"), { recursive: true });
  const row = (id: string, image: string, value: string) => ({
    id,
    image,
    conversations: [
      { from: "human", value: `<image>${HOSTILE}${id}` },
      { from: "gpt", value },
    ],
  });
  writeFileSync(
    join(place, "data", "rows.json"),
    JSON.stringify([row("x", "x.png", "apple 52"), row("y", "broken.png", "apple 52"), row("z", "z.png", "pear 57")]),
  );
  const folder = runFolder({
    "config.yaml": stringify({ dataset: "data/rows.json" }),
    "environment.json": environment(place),
    "completions.jsonl": ["x", "y", "z", "gone"].map((id) => completion(1, id)),
  });
  const run = await readPageRun(folder, paths);
  const text = HOSTILE.replace("\ud800", "\ufffd");
  expect(run.completions.map(({ id, question, pictures }) => [id, question, pictures])).toEqual([
    ["x", `${text}x`, [`/pictures${join(place, "data", "x.png")}`]],
    ["y", `${text}y`, []],
    // The data set has another answer there now: it is not the row that was trained on.
    ["z", "", []],
    ["gone", "", []],
  ]);
  // What is read again is what is there then.
  writeFileSync(join(place, "data", "rows.json"), JSON.stringify([row("z", "z.png", "apple 52")]));
  const again = await readPageRun(folder, paths);
  expect(again.completions.map(({ question }) => question)).toEqual(["", "", `${text}z`, ""]);
  writeFileSync(join(place, "data", "rows.json"), "[{");
  expect((await readPageRun(folder, paths)).completions.map(({ question }) => question)).toEqual(["", "", "", ""]);
  expect(run).toMatchObject({ status: "unknown", objective: "grpo", environment: { parameters: 10, threads: 2 } });
  expect(run.environment["went on from step"]).toBe("40");
});

test("a run without anything but its beginning has nothing to show, and one that runs has what there is", async () => {
  const bare = await readPageRun(runFolder({ "config.yaml": "learning_rate: 1\n" }), paths);
  expect(bare).toMatchObject({
    status: "unknown",
    objective: "sft",
    step: 0,
    totalSteps: 0,
    gallery: [],
    warnings: [],
  });
  expect(bare.heldOut).toBeUndefined();
  const folder = runFolder({
    "run.json": { status: "running", step: 0, totalSteps: 9 },
    "metrics.jsonl": '{"step":1,"loss":2}\n{"step":2,"lo',
    "before.json": record([answer("a", 1)]),
  });
  const run = await readPageRun(folder, paths);
  expect(run).toMatchObject({ status: "interrupted", step: 1, totalSteps: 9, steps: { step: [1] }, regressions: [] });
  expect(run.gallery.map(({ answers }) => answers.map(({ label }) => label))).toEqual([["before"]]);
});

test("the evaluation of an earlier end of a run that has gone on is not taken for that of its end", async () => {
  const folder = runFolder({
    "run.json": { status: "interrupted", step: 50, totalSteps: 90 },
    "environment.json": environment(root),
    "before.json": record([answer("a", 1)]),
    "after.json": record([answer("a", 0)]),
  });
  const labels = async () => (await readPageRun(folder, paths)).gallery[0]?.answers.map(({ label }) => label);
  const started = Date.parse("2026-01-02T03:04:05.000Z") / 1000;
  utimesSync(join(folder, "after.json"), started - 60, started - 60);
  expect(await labels()).toEqual(["before"]);
  expect((await readPageRun(folder, paths)).warnings).toEqual([
    { step: 0, message: expect.stringMatching(/^after\.json cannot be shown: .* earlier end of this run/) },
  ]);
  utimesSync(join(folder, "after.json"), started + 60, started + 60);
  expect(await labels()).toEqual(["before", "after"]);
});

test("damaged files are named, and the rest is shown", async () => {
  const folder = runFolder({
    "metrics.jsonl": 'no json\n[1]\n{"step":"x"}\n{"step":3,"loss":1}\n',
    "config.yaml": "a: [1",
    "run.json": { status: "odd", step: "x" },
    "before.json": { scores: {}, answers: {} },
    "environment.json": { objective: "other" },
    "data.json": "[]",
    "completions.jsonl": '{"step":1}\nx\n',
    "warnings.jsonl": '{"step":1}\n',
  });
  const run = await readPageRun(folder, paths);
  expect(run).toMatchObject({ status: "unknown", step: 3, completions: [], environment: {}, config: {} });
  expect(run.warnings.map(({ message }) => message.split(":")[0])).toEqual([
    "config.yaml cannot be shown",
    "before.json cannot be shown",
    "environment.json cannot be shown",
    "data.json cannot be shown",
  ]);
});

test.each(["just a text", "- a\n- list\n", "", "~"])("settings that are none are no settings: %j", async (text) => {
  const run = await readPageRun(runFolder({ "config.yaml": text }), paths);
  expect(run).toMatchObject({ config: {}, status: "unknown" });
});

test("a folder that no run has written is refused", async () => {
  const empty = temporaryFolder();
  const refused = (path: string) => readPageRun(path, paths);
  await expect(refused(empty)).rejects.toMatchObject({
    code: "ERR_NOT_FOUND",
    message: expect.stringContaining("holds no run"),
  });
  await expect(refused(join(empty, "none"))).rejects.toMatchObject({
    message: expect.stringContaining("is not there"),
  });
  writeFileSync(join(empty, "a.png"), "");
  await expect(refused(join(empty, "a.png"))).rejects.toMatchObject({
    message: expect.stringContaining("is no folder"),
  });
});

test("it stops when it is told to", async () => {
  const folder = runFolder({ "metrics.jsonl": [{ step: 1, loss: 1 }] });
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(readPageRun(folder, paths, { signal })).rejects.toThrow("enough");
});

test.skipIf(process.platform === "win32")("a folder with a pipe in it is refused, not waited for", async () => {
  const folder = runFolder({ "config.yaml": {} });
  execFileSync("mkfifo", [join(folder, "warnings.jsonl")]);
  await expect(readPageRun(folder, paths)).rejects.toMatchObject({
    code: "ERR_DATA",
    message: `${join(folder, "warnings.jsonl")} is no file`,
  });
});
