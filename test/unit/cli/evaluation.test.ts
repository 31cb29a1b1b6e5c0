import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { jsonLines, runCli } from "../../support/cli.js";
import { type FakeOptions, fakeAddon } from "../../support/fake-addon.js";
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
const DATA = join(folder, "data.json");
const row = (id: number, wanted: string) => ({
  ...{ id: String(id), kind: id % 2 === 0 ? "even" : "odd" },
  conversations: [
    { from: "human", value: `question ${id}` },
    { from: "gpt", value: `<answer>${wanted} 5</answer>` },
  ],
});
writeFileSync(DATA, JSON.stringify(Array.from({ length: 10 }, (_, id) => row(id, "apple"))));
const evaluate = (...more: string[]) =>
  runCli(["eval", "--model", goldenPath("qwen2_5_vl_a"), "--dataset", DATA, "--eval-batch-size", "1", ...more]);
const lines = (values: readonly unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join("");
const prompts = () =>
  addon.calls
    .filter(({ verb }) => verb === "generate")
    .map(({ args }) => (args as { prompts: unknown[] }).prompts.length);
const use = (options: FakeOptions = {}) => {
  addon = fakeAddon(options);
};

describe("eval", () => {
  it("keeps the answers of an evaluation that is interrupted, and goes on with them to the same end", async () => {
    use();
    const whole = join(folder, "whole.jsonl");
    const { code, stdout } = await evaluate("--answers", whole, "--json");
    expect(code).toBe(0);
    expect(prompts()).toEqual([4, 4, 2]);

    use({ hangs: "generate", answersFirst: 1 });
    const part = join(folder, "part.jsonl");
    const interrupt = new AbortController();
    const hanging = setInterval(() => prompts().length === 2 && interrupt.abort(), 1);
    const args = ["--model", goldenPath("qwen2_5_vl_a"), "--dataset", DATA, "--eval-batch-size", "1"];
    const interrupted = await runCli(["eval", ...args, "--answers", part], { signal: interrupt.signal });
    clearInterval(hanging);
    expect(interrupted).toMatchObject({
      code: 130,
      stderr: `4 answers are in ${part}; the same command with --resume goes on with them\n`,
    });
    const four = readFileSync(part, "utf8");
    expect(jsonLines(four).map(({ id }) => id)).toEqual(["0", "1", "2", "3"]);

    use();
    // As if it had been killed in the middle of a line.
    writeFileSync(part, `${four}{"id": "4", "sam`);
    const resumed = await evaluate("--answers", part, "--resume", "--json");
    expect(prompts()).toEqual([4, 2]);
    expect(resumed).toMatchObject({ code: 0, stdout });
    expect(readFileSync(part, "utf8")).toBe(readFileSync(whole, "utf8"));

    use();
    expect((await evaluate("--answers", part, "--resume", "--json")).stdout).toBe(stdout);
    expect(prompts()).toEqual([]);
  });

  it("does not go on with the answers of another evaluation", async () => {
    use();
    const path = join(folder, "other.jsonl");
    const answer = recorded({ id: "0", question: "question 0", solution: "<answer>apple 5</answer>" });
    const rewards = { content: 0, format: 0 };
    const refusals = [
      [{ ...answer, rewards, id: "10" }, "row 10 is not in the data set"],
      [{ ...answer, rewards, solution: "pear" }, "row 0 expects another answer in the data set"],
      [{ ...answer, rewards, question: "what?" }, "row 0 asks another question in the data set"],
      [{ ...answer, rewards: { content: 1 } }, "row 0 was judged by content, not by content, format"],
    ] as const;
    for (const [held, message] of refusals) {
      writeFileSync(path, lines([held]));
      const { code, stderr } = await evaluate("--answers", path, "--resume");
      expect(stderr).toContain(`error [ERR_DATA] the answers are of another evaluation: ${message}\n`);
      expect(code).toBe(1);
      expect(readFileSync(path, "utf8")).toBe(lines([held]));
    }
    expect(await evaluate("--resume")).toMatchObject({ code: 2, stderr: expect.stringContaining("no file to go on") });
    expect(prompts()).toEqual([]);
  });

  it("does not go on with the answers of another model or of other options", async () => {
    use();
    const path = join(folder, "options.jsonl");
    const again = (...more: string[]) => evaluate("--answers", path, "--resume", ...more);
    expect(await evaluate("--answers", path, "--limit", "3")).toMatchObject({ code: 0 });
    const three = readFileSync(path, "utf8");
    use();
    const refusals = [
      [
        ["--model", goldenPath("qwen2_5_vl_b")],
        `model "${goldenPath("qwen2_5_vl_a")}", now "${goldenPath("qwen2_5_vl_b")}"`,
      ],
      [["--max-completion-length", "7"], "max_completion_length 256, now 7"],
      [["--eval-temperature", "1", "--seed", "3"], "seed (none), now 3; eval_temperature 0, now 1"],
      [["--reward-weights", "1,2"], "reward_weights (none), now [1,2]"],
    ] as const;
    for (const [more, message] of refusals) {
      const { code, stderr } = await again(...more);
      expect(stderr).toContain(`error [ERR_DATA] the answers in ${path} were made with other options: ${message}\n`);
      expect(code).toBe(1);
    }
    expect(prompts()).toEqual([]);
    expect(readFileSync(path, "utf8")).toBe(three);
    // What changes no answer may change, also the way to the model's folder.
    const near = relative(".", goldenPath("qwen2_5_vl_a"));
    const same = await again("--threads", "1", "--seed", "4", "--model", near, "--limit", "4");
    expect(same).toMatchObject({ code: 0, stderr: "" });
    expect(prompts()).toEqual([1]);
    rmSync(`${path}.options.json`);
    expect(await again("--model", goldenPath("qwen2_5_vl_b"), "--limit", "4")).toMatchObject({
      code: 0,
      stderr: `warning: nothing says of which model and options the 4 answers in ${path} are\n`,
    });
    expect(existsSync(`${path}.options.json`)).toBe(false);
  });

  it("shows the mean of each reward, and its deviation as JSON alone", async () => {
    use();
    expect((await evaluate()).stdout).toMatch(/\n {2}content +[\d.]+\n {2}format +[\d.]+\nright name/);
    const [{ metrics }] = jsonLines((await evaluate("--json")).stdout) as [{ metrics: object }];
    expect(metrics).toHaveProperty(["eval_rewards/content/std"]);
  });

  it("answers the first rows alone where it is told to", async () => {
    use();
    const { stdout } = await evaluate("--limit", "3", "--json");
    expect(jsonLines(stdout)).toEqual([expect.objectContaining({ rows: 3 })]);
  });

  it("says that no row has the field of the classes before it asks anything", async () => {
    use();
    expect(await evaluate("--class-field", "size")).toMatchObject({
      code: 1 + 1,
      stderr:
        'error [ERR_CONFIG] class_field: no row has a field "size"\nhint: The rows have: id, kind, conversations\n',
    });
    expect(addon.calls.filter(({ verb }) => verb === "loadModel")).toEqual([]);
  });
});

describe("eval of answers that are there", () => {
  const FILE = join(folder, "answers.jsonl");
  const solution = "<answer>apple 5</answer>";
  const wrong = { solution, completion: "<answer>pear 4</answer>", name_right: false, number_right: false, reward: 0 };
  const answers = [
    ...Array.from({ length: 8 }, (_, id) => recorded({ id: String(id), solution, completion: solution })),
    recorded({ id: "8", ...wrong }),
    recorded({ id: "9", ...wrong, completion: "pear", format_right: false }),
  ];
  writeFileSync(FILE, lines(answers));

  it("prints the scores, and with --details by class, confused names and numbers", async () => {
    const { code, stdout } = await runCli(["eval", FILE]);
    expect(code).toBe(0);
    expect(stdout.split("\n").slice(0, 5)).toEqual([
      "rows                   10",
      "mean reward         0.800",
      "right name         80.0 %",
      "right number       80.0 %",
      "right format       90.0 %",
    ]);
    const details = await runCli(["eval", FILE, "--details", "--class-field", "kind", "--dataset", DATA, "--top", "1"]);
    expect(details.stdout).toContain(stdout);
    expect(details.stdout).toMatch(/\neven +5 +0\.800 +80\.0 % +38 – 96 %/);
    expect(details.stdout).toContain("… and 1 more classes (--top)");
    expect(details.stdout).toMatch(/\napple +\(no answer\) +1 +10\.0 %\n… and 1 more confusions/);
    expect(details.stdout).toMatch(/\n {2}missing +1\n/);
    expect(details.stdout).toMatch(/within 5 % +80\.0 %\n/);
  });

  it("prints all of it as JSON", async () => {
    const { stdout } = await runCli(["eval", FILE, "--json"]);
    expect(jsonLines(stdout)).toEqual([
      {
        ...{ rows: 10, reward: 0.8, name_accuracy: 0.8, number_accuracy: 0.8, format_rate: 0.9 },
        metrics: expect.objectContaining({ eval_reward: 0.8 }),
        classes: [expect.objectContaining({ name: "apple", rows: 10, right_name: expect.any(Object) })],
        confusion: [
          { expected: "apple", answered: "apple", count: 8, share: 0.8 },
          { expected: "apple", answered: null, count: 1, share: 0.1 },
          { expected: "apple", answered: "pear", count: 1, share: 0.1 },
        ],
        numbers: expect.objectContaining({ expected: 10, pairs: 9, median_relative_error: 0 }),
      },
    ]);
  });

  it("has no use for a model's flags, and needs the data for a field of its rows", async () => {
    expect(await runCli(["eval", FILE, "--limit", "3"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--limit is about evaluating a model"),
    });
    expect(await runCli(["eval", FILE, "--class-field", "kind"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("Give --dataset too."),
    });
  });
});
