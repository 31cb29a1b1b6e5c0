import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { comparisonLines } from "../../../lib/cli/comparison-text.js";
import type * as Load from "../../../lib/engine/load.js";
import { compareRecords, type RecordedAnswer } from "../../../lib/eval/index.js";
import { pair, writeAdapter } from "../../support/adapter-folder.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { fakeAddon } from "../../support/fake-addon.js";
import { goldenPath } from "../../support/golden.js";
import { recorded } from "../../support/recorded.js";
import { temporaryFolder } from "../../support/temporary.js";

let addon = fakeAddon();

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

const folder = temporaryFolder();
const MODEL = goldenPath("qwen2_5_vl_a");
const DATA = goldenPath("conversations.json");

/** 24 rows about 24 pictures, of which the first `right` are right. */
const answers = (right: number): RecordedAnswer[] =>
  Array.from({ length: 24 }, (_, index) => {
    const good = index < right;
    const completion = good ? "<answer>apple 52</answer>" : "<answer>pear\n57</answer>";
    const scores = { name_right: good, number_right: good, reward: Number(good), rewards: { content: Number(good) } };
    return recorded({ id: `row ${index}`, images: [`/${index}.png`], completion, ...scores });
  });
const lines = (values: readonly unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join("");

/** A run's folder with these files. */
function run(name: string, files: Record<string, RecordedAnswer[]>): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "run.json"), "{}");
  for (const [file, own] of Object.entries(files))
    writeFileSync(join(path, file), JSON.stringify({ version: 2, metrics: {}, answers: own }));
  return path;
}

describe("compare", () => {
  const one = run("one", { "before.json": answers(4), "after.json": answers(10) });
  const two = run("two", { "before.json": answers(4), "after.json": answers(16) });

  it("prints one run's before and after", async () => {
    const { code, stdout, stderr } = await runCli(["compare", one, "--top", "2"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^ +before +after +change +95 % +higher +p\nmean reward +0\.167 +0\.417 +\+0\.250 +\+0\.\d+ … /,
    );
    expect(stdout).toMatch(/\nright name +16\.7 % +41\.7 % +\+25\.0 %/);
    expect(stdout).toMatch(/\n24 rows; 10000 resamples\n/);
    expect(stdout).toMatch(/\napple +24 +0\.167 +0\.417 +16\.7 % +41\.7 %\n/);
    expect(stdout).toContain("\n6 rows are better; 2 of them:\nrow 4  +1.000  What is it");
    expect(stdout).toContain("\n  before    <answer>pear ⏎ 57</answer>\n  after     <answer>apple 52</answer>\n");
    expect(stdout).toMatch(/\nno row is worse\n$/);
  });

  it("prints two runs as JSON, and the same bytes again", async () => {
    const args = ["compare", one, two, "--json", "--resamples", "1000"];
    const { stdout } = await runCli(args);
    expect((await runCli(args)).stdout).toBe(stdout);
    const [comparison] = jsonLines(stdout);
    expect(comparison).toMatchObject({ labels: ["one", "two"], rows: 24, clusters: 24, only_first: [], worsened: [] });
    expect(comparison?.scores).toEqual(
      expect.arrayContaining([
        {
          ...{ name: "right name", unit: "share", first: 10 / 24, second: 16 / 24, rows: 24 },
          difference: { value: 0.25, low: expect.any(Number), high: expect.any(Number) },
          ...{
            probability_higher: expect.any(Number),
            p_value: expect.closeTo(2 / 64, 12),
            higher: 6,
            lower: 0,
            equal: 18,
          },
        },
      ]),
    );
    expect((await runCli([...args, "--seed", "1"])).stdout).not.toBe(stdout);
  });

  it("takes files of answers, names the rows that one has alone, and classes by a field of the data", async () => {
    const [a, b] = [join(folder, "a.jsonl"), join(folder, "b.jsonl")];
    writeFileSync(a, lines(answers(4)));
    writeFileSync(b, lines(answers(8).slice(2)));
    const { stdout, stderr } = await runCli(["compare", a, b, "--top", "0"]);
    expect(stderr).toBe("warning: left out: 2 rows that only a.jsonl has: row 0, row 1\n");
    expect(stdout).toMatch(/\n22 rows; 10000 resamples\n4 rows are better\nno row is worse\n$/);
    const data = join(folder, "data.jsonl");
    const conversations = [
      { from: "human", value: "?" },
      { from: "gpt", value: "!" },
    ];
    writeFileSync(
      data,
      lines(answers(0).map(({ id }) => ({ id, kind: id < "row 2" ? "low" : "high", conversations }))),
    );
    const byKind = await runCli(["compare", a, b, "--class-field", "kind", "--dataset", data, "--json"]);
    expect((jsonLines(byKind.stdout)[0]!.classes as { name: string }[]).map(({ name }) => name)).toEqual([
      "high",
      "low",
    ]);
  });

  it("says that a few rows tell little, shows a picture once, and keeps the terminal as it is", async () => {
    const about = (id: string, reward: number, completion = "") =>
      recorded({ id, reward, completion, images: [id.startsWith("a") ? "/a.png" : "/b.png"] });
    const record = (...own: RecordedAnswer[]) => ({ version: 2 as const, metrics: {}, answers: own });
    const first = record(about("a1", 0), about("a2", 0), about("b", 1, "\u001b[2J\ta"));
    const second = record(about("a1", 1), about("a2", 1), about("b", 0));
    const text = comparisonLines(await compareRecords(first, second), { top: 5, resamples: 100 }).join("\n");
    expect(text).toContain(
      "\n3 rows, drawn in 2 groups that share a picture; 100 resamples; so few make the intervals too",
    );
    expect(text).toContain("\n2 rows are better; 1 of them:\na1  +1.000");
    expect(text).toContain("\n1 row is worse:\nb  −1.000");
    expect(text).toContain("\n  first     \ufffd[2J a\n  second    (nothing)");
  });

  it("evaluates models one after the other, and writes their answers", async () => {
    addon = fakeAddon();
    const out = join(folder, "answers");
    const small = ["--dataset", DATA, "--max-completion-length", "4"];
    const { code, stdout } = await runCli(["compare", MODEL, MODEL, ...small, "--answers", out, "--json"]);
    expect(code).toBe(0);
    const loaded = addon.calls.filter(({ verb }) => ["loadModel", "model.dispose", "generate"].includes(verb));
    expect(loaded.map(({ verb }) => verb).filter((verb) => verb !== "model.dispose")).toEqual([
      ...["loadModel", "generate", "loadModel", "generate"],
    ]);
    const [comparison] = jsonLines(stdout);
    expect(readFileSync(join(out, "first.jsonl"), "utf8")).toBe(readFileSync(join(out, "second.jsonl"), "utf8"));
    expect(comparison).toMatchObject({ improved: [], worsened: [], rows: expect.any(Number) });
    // What was written can take the model's place.
    addon = fakeAddon();
    const again = await runCli(["compare", join(out, "first.jsonl"), MODEL, ...small, "--json"]);
    expect(jsonLines(again.stdout)[0]?.scores).toEqual(comparison?.scores);
    expect(addon.calls.filter(({ verb }) => verb === "loadModel")).toHaveLength(1);
  });

  it("puts an adapter on the base that it is told, and says how where it names one that is not there", async () => {
    addon = fakeAddon();
    const shapes = pair("model.language_model.layers.0.self_attn.q_proj", 48, 48, 4);
    const adapter = writeAdapter(temporaryFolder(), shapes, { base_model_name_or_path: "elsewhere/not/there" });
    const args = ["compare", MODEL, adapter, "--dataset", DATA];
    expect(await runCli(args)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("hint: Say which: --base-model"),
    });
    expect(addon.calls.filter(({ verb }) => verb === "generate")).toEqual([]);
    expect((await runCli([...args, "--base-model", MODEL])).code).toBe(0);
    const lora = addon.calls
      .filter(({ verb }) => verb === "loadModel")
      .map(({ args: given }) => (given as { lora: unknown }).lora);
    expect(lora).toEqual([null, expect.any(Object)]);
  });

  it("refuses what cannot be compared, before anything is evaluated", async () => {
    addon = fakeAddon();
    const old = join(folder, "old");
    mkdirSync(old);
    const record = { scores: {}, answers: { a: { completion: "", reward: 1 } } };
    for (const name of ["before.json", "after.json"]) writeFileSync(join(old, name), JSON.stringify(record));
    const other = join(folder, "other.jsonl");
    writeFileSync(other, lines(answers(3).map((answer) => ({ ...answer, solution: "<answer>fig 74</answer>" }))));
    const unfinished = run("unfinished", { "before.json": answers(1) });
    const data = ["--dataset", DATA];
    const cases: [string[], number, string][] = [
      [[MODEL], 2, "there is nothing to compare"],
      [[one, ...data], 2, "there is one to evaluate"],
      [[one, MODEL], 2, `${MODEL} is neither a run's folder nor a file of answers`],
      [[one, "nowhere"], 2, "nowhere is neither"],
      [[unfinished], 1, "has no after.json"],
      [[unfinished, one, ...data], 1, "has no checkpoint to evaluate"],
      [[old], 1, "is of an older version"],
      [[join(one, "after.json"), other], 1, "24 of 24 rows expect another answer"],
      [[MODEL, "nowhere/at/all", ...data], 1, 'no folder "nowhere/at/all"'],
      [[one, two, "--eval-batch-size", "2"], 2, "--eval-batch-size is about evaluating a model, but neither"],
      [[join(one, "after.json"), two, "--limit", "2"], 2, "--limit is about evaluating a model"],
      [[one, two, "--class-field", "kind"], 2, "there is no data set"],
      [[one, two, "--resamples", "3"], 2, "resamples"],
    ];
    for (const [args, code, message] of cases) {
      const result = await runCli(["compare", ...args]);
      expect({ args, ...result }).toMatchObject({ code, stderr: expect.stringContaining(message), stdout: "" });
    }
    expect(addon.calls.filter(({ verb }) => verb === "generate")).toEqual([]);
    expect(existsSync("nowhere")).toBe(false);
  });
});
