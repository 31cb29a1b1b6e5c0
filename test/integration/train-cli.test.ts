import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { jsonLines, runCli } from "../support/cli.js";
import { goldenPath } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const MODEL = goldenPath("qwen2_5_vl_a");
const FOOD = goldenPath("../../examples/food");
const folder = temporaryFolder();
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);

/** A few rows of the food data, with absolute paths. */
function dataset(split: string, count: number): string {
  const all = JSON.parse(readFileSync(join(FOOD, `${split}.json`), "utf8")) as { image: string }[];
  const rows = all.slice(0, count).map((row) => ({ ...row, image: join(FOOD, row.image) }));
  const path = join(folder, `${split}.json`);
  writeFileSync(path, JSON.stringify(rows));
  return path;
}

/** Data whose pictures are searched for beside it, or in `image_folders`. */
function relativePictures(): string {
  const path = join(folder, "relative.json");
  const conversations = [
    { from: "human", value: "<image>what?" },
    { from: "gpt", value: "that" },
  ];
  writeFileSync(path, JSON.stringify([{ id: "1", image: "a.png", conversations }]));
  return path;
}

const train = (...more: string[]) => [
  "train",
  "--model",
  MODEL,
  "--dataset",
  dataset("train", 6),
  "--device=cpu",
  ...["--prompts-per-step", "2", "--num_generations", "2", "--maxCompletionLength=8", "--lr", "1e-4"],
  ...more,
];
const json = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;

describe("train", () => {
  test("scores held-out data before and after, shows six answers, and writes the run's folder", async () => {
    const out = newRun();
    const evaluation = ["--eval-dataset", dataset("test", 8), "--output-dir", out];
    const { code, stdout, stderr } = await runCli(train(...evaluation, "--max-steps", "2"));
    expect(stderr).toContain("evaluation after step 0");
    expect(code).toBe(0);
    expect(stdout.match(/\n {2}before/g)).toHaveLength(6);
    expect(stdout).toMatch(/held-out +before +after +change\nmean reward/);
    expect(json(join(out, "summary.json"))).toEqual({
      before: scoreNames,
      after: scoreNames,
      steps: 2,
      train_seconds: expect.any(Number),
      // Null where no group had an advantage: a random model earns nothing.
      max_sampling_logp_difference: json(join(out, "summary.json")).max_sampling_logp_difference === null ? null : 0,
    });
    expect(jsonLines(readFileSync(join(out, "metrics.jsonl"), "utf8"))).toHaveLength(4);
    expect(jsonLines(readFileSync(join(out, "completions.jsonl"), "utf8"))).toHaveLength(8);
    for (const name of [
      "config.yaml",
      "checkpoints/step-000002/config.json",
      "checkpoints/step-000002/tokenizer.json",
    ]) {
      expect(existsSync(join(out, name))).toBe(true);
    }
    const compared = await runCli(["compare", out, "--json"]);
    const { before, after } = json(join(out, "summary.json")) as Record<"before" | "after", { reward: number }>;
    expect(jsonLines(compared.stdout)).toEqual([
      expect.objectContaining({
        ...{ labels: ["before", "after"], rows: 8 },
        scores: expect.arrayContaining([
          expect.objectContaining({ name: "reward", first: before.reward, second: after.reward }),
        ]),
      }),
    ]);
    const again = await runCli(train(...evaluation));
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("finished run");
  });

  test("interrupted, it ends with 130 behind a checkpoint; the command that it prints goes on", async () => {
    const out = newRun();
    const args = train("--output-dir", out, "--max-steps", "12", "--logging-steps", "1");
    const child = spawn(process.execPath, [MAIN, ...args]);
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      if (text.includes("2/12")) child.kill("SIGINT");
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(stderr).toMatch(/interrupted after \d+ steps/);
    expect(code).toBe(130);
    const command = /to go on: vlmr1-native (.*)\n/.exec(stderr)?.[1] ?? "";
    const anew = await runCli(args);
    expect(anew.code).toBe(1);
    expect(anew.stderr).toContain("--resume");
    const resumed = await runCli([...command.split(" "), "--json"]);
    expect(resumed.stderr).toMatch(/from step \d+/);
    expect(resumed.code).toBe(0);
    expect(jsonLines(resumed.stdout)).toEqual([expect.objectContaining({ steps: 12 })]);
    const steps = jsonLines(readFileSync(join(out, "metrics.jsonl"), "utf8")).map(({ step }) => step);
    expect(steps).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test("goes back to the checkpoint that is named, stops early, and ends with the best one", async () => {
    const out = newRun();
    const saving = ["--save-steps", "1", "--save-total-limit", "9", "--max-steps", "4"];
    expect((await runCli(train("--output-dir", out, ...saving))).code).toBe(0);
    const named = join(out, "checkpoints", "step-000002");
    // A random model earns nothing, now and later.
    const early = ["--eval-steps", "1", "--early-stopping-patience", "1", "--load-best-model-at-end", "--json"];
    const evaluation = ["--eval-dataset", dataset("test", 2), ...early, "--metric-for-best-model", "format_rate"];
    const { code, stdout, stderr } = await runCli(train("--resume", named, ...saving, ...evaluation));
    expect(stderr).toContain("this run goes back to step 2");
    expect(stderr).toContain("early stopped after 1 evaluation without a better eval_format_rate");
    expect(stderr).toContain("the weights are now those of step 2, the best by eval_format_rate (0)");
    expect(code).toBe(0);
    expect(jsonLines(stdout)).toEqual([{ steps: 3, train_seconds: expect.any(Number), model: named }]);
    expect(json(join(out, "best.json"))).toMatchObject({ step: 2, checkpoint: "checkpoints/step-000002" });
    const lines = jsonLines(readFileSync(join(out, "metrics.jsonl"), "utf8"));
    expect(lines.map(({ step, eval_reward: reward }) => [step, reward !== undefined])).toEqual([
      ...[
        [1, false],
        [2, false],
        [2, true],
        [3, false],
        [3, true],
      ],
    ]);
  });

  test("a reward file of one's own, beside a built-in one", async () => {
    mkdirSync(join(folder, "rewards"), { recursive: true });
    const file = join(folder, "rewards", "mine.mjs");
    writeFileSync(
      file,
      "export default function mine(completion, row) { return completion.length / row.solution.length; }",
    );
    const out = newRun();
    const { code } = await runCli(train("--output-dir", out, "--max-steps", "1", "--reward", "format", file));
    expect(code).toBe(0);
    const [line] = jsonLines(readFileSync(join(out, "metrics.jsonl"), "utf8"));
    expect(line?.["rewards/mine/mean"]).toBeGreaterThan(0);
    expect(line?.["sampling/sampling_logp_difference/max"]).toBe(0);
  });

  test.each([
    ["an unknown field", ["--set", "num_generation=3"], 2, /num_generations/],
    ["evaluation of nothing", ["--eval-steps", "2"], 2, /eval_steps is 2, but there is nothing to evaluate on/],
    ["weights that do not fit", ["--reward-weights", "1"], 2, /one weight per reward/],
    ["an unknown reward", ["--reward", "contents"], 1, /content, content_graded, format/],
    [
      "stochastic rounding in f32",
      ["--stochastic-rounding"],
      2,
      /expected bf16 weights .*got precision auto\nhint: Set/,
    ],
    [
      "stochastic rounding of an adapter",
      ["--stochastic-rounding", "--precision", "bf16", "--use-peft"],
      2,
      /stochastic_rounding: expected bf16 weights .*got an adapter/,
    ],
    ["more than the model reads", ["--max-completion-length", "99999"], 2, /less than the model's \d+ pos.*got 99999/],
    ["a run in place of a checkpoint", ["--resume", folder], 1, /trainer\.json: .*\nhint: Name the folder of a check/],
    ["a folder without a model", ["--model", folder], 1, /config\.json: .*\nhint: A model's folder holds config/],
    ["wrong picture folder", ["--image-folders", "gone", "--dataset", relativePictures()], 1, /\nhint: Relative paths/],
  ])("%s is refused before anything is loaded", async (_, more, code, message) => {
    const result = await runCli(train("--output-dir", newRun(), ...more));
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
  });
});

test("a mistake in a reward file is told with its line, where Node imports it", () => {
  const mistake = join(folder, "mistake.mjs");
  writeFileSync(mistake, "export default () =>\n  1 +;\n");
  const importing = join(folder, "importing.mjs");
  writeFileSync(importing, 'import "./mistake.mjs";\nexport default () => 1;\n');
  const stderrOf = (file: string) =>
    spawnSync(process.execPath, [MAIN, ...train("--output-dir", newRun(), "--reward", file)], { encoding: "utf8" })
      .stderr;
  expect(stderrOf(mistake)).toMatch(/^error \[ERR_REWARD\] .*mistake\.mjs: line 2: SyntaxError: \S.*\nhint: .*\n$/);
  expect(stderrOf(importing)).toMatch(/^error \[ERR_REWARD\] .*importing\.mjs: SyntaxError: \S/);
});

const scoreNames = {
  reward: expect.any(Number),
  name_accuracy: expect.any(Number),
  number_accuracy: expect.any(Number),
  format_rate: expect.any(Number),
};

const tables = { classes: expect.any(Array), confusion: expect.any(Array), numbers: expect.any(Object) };

test("sft writes a model that eval scores", async () => {
  const model = join(folder, "model");
  const args = ["--model", MODEL, "--dataset", dataset("train", 6), "--device=cpu", "--augment", "--max-steps", "2"];
  const trained = await runCli(["sft", ...args, "--output-dir", newRun(), "--save-model-to", model]);
  expect(trained.code).toBe(0);
  expect(trained.stdout).toBe(`model: ${model}\n`);
  const answers = join(folder, "answers.jsonl");
  const scored = await runCli([
    "eval",
    ...["--model", model, "--dataset", dataset("test", 5), "--max-completion-length", "6"],
    ...["--answers", answers, "--eval-batch-size", "2", "--json"],
  ]);
  expect(scored.code).toBe(0);
  expect(jsonLines(scored.stdout)).toEqual([{ rows: 5, ...scoreNames, metrics: expect.any(Object), ...tables }]);
  expect(jsonLines(readFileSync(answers, "utf8"))).toHaveLength(5);
});

test("eval samples the answers that the run's own evaluations would, and says that one answer has no best", async () => {
  const outputDir = newRun();
  const test = dataset("test", 4);
  const sampled = ["--eval-temperature", "1", "--num-generations-eval", "3", "--seed", "5", "--eval-batch-size", "2"];
  const common = ["--max-completion-length", "6", "--device=cpu", ...sampled];
  const train = ["--model", MODEL, "--dataset", dataset("train", 4), "--eval-dataset", test, "--max-steps", "1"];
  expect((await runCli(["sft", ...train, ...common, "--output-dir", outputDir])).code).toBe(0);
  const { after } = JSON.parse(readFileSync(join(outputDir, "summary.json"), "utf8")) as { after: object };
  const answers = join(folder, "sampled.jsonl");
  const model = join(outputDir, "checkpoints", "step-000001");
  const evaluated = ["eval", "--model", model, "--dataset", test, ...common];
  const scored = await runCli([...evaluated, "--answers", answers, "--json"]);
  const [result] = jsonLines(scored.stdout);
  expect(result).toEqual({
    rows: 4,
    ...after,
    metrics: expect.objectContaining({ eval_reward_best: expect.anything() }),
    ...tables,
  });
  const written = jsonLines(readFileSync(answers, "utf8"));
  expect(written.map(({ sample }) => sample)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
  expect(new Set(written.map(({ completion }) => completion)).size).toBeGreaterThan(4);
  expect((await runCli(evaluated)).stdout).toMatch(/^rows +4\nmean reward .*\n +best of each row /);
  const greedy = await runCli([...evaluated, "--eval-temperature", "0"]);
  expect(greedy).toMatchObject({ code: 2, stderr: expect.stringContaining("num_generations_eval is 3, but") });
});

test("a held-out split is scored before and after, is never trained on, and stays the same when the run goes on", async () => {
  const outputDir = newRun();
  const read = (name: string) => JSON.parse(readFileSync(join(outputDir, name), "utf8")) as Record<string, unknown>;
  const idsIn = (name: string) => (read(name).answers as { id: string }[]).map(({ id }) => id).sort();
  // Rows of one picture stay together: eight of as many pictures.
  const all = JSON.parse(readFileSync(dataset("train", 400), "utf8")) as { image: string }[];
  const rows = all.filter(({ image }, index) => all.findIndex((other) => other.image === image) === index).slice(0, 8);
  expect(rows).toHaveLength(8);
  const data = join(folder, "eight.json");
  writeFileSync(data, JSON.stringify(rows));
  const args = ["train", "--model", MODEL, "--dataset", data, "--val-split-ratio", "0.4", "--device=cpu"];
  const size = [
    "--max-completion-length",
    "6",
    "--prompts-per-step",
    "2",
    "--num-generations",
    "2",
    "--save-steps",
    "1",
  ];
  const train = (...more: string[]) => runCli([...args, ...size, "--output-dir", outputDir, ...more]);
  const first = await train("--num-train-epochs", "1");
  expect(first.code).toBe(0);
  expect(first.stdout).toContain("held-out");
  const held = idsIn("before.json");
  expect(held.length).toBeGreaterThan(0);
  expect(idsIn("after.json")).toEqual(held);
  const trained = new Set(jsonLines(readFileSync(join(outputDir, "completions.jsonl"), "utf8")).map(({ id }) => id));
  expect(trained.size).toBe(8 - held.length);
  for (const id of held) expect(trained.has(id)).toBe(false);
  const { before } = read("summary.json");
  expect((await train("--num-train-epochs", "2", "--resume")).code).toBe(0);
  expect(idsIn("after.json")).toEqual(held);
  expect(read("summary.json").before).toEqual(before);
});
