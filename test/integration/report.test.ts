import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { runProgram } from "../../lib/cli/program.js";
import { type PageData, writeReport } from "../../lib/page/index.js";
import { describeBrowser } from "../support/browser.js";
import { jsonLines, runCli } from "../support/cli.js";
import { goldenPath } from "../support/golden.js";
import { temporaryFolder } from "../support/temporary.js";

const MODEL = goldenPath("qwen2_5_vl_a");
const FOOD = goldenPath("../../examples/food");
const HOSTILE = "</script><script>alert(1)</script><!-- \u2028 寿司 $x `";
const MADE = new Date("2026-01-02T03:04:05Z");
const folder = temporaryFolder();

interface FoodRow {
  image: string;
  conversations: { from: string; value: string }[];
}

/** A few rows of the food data with absolute paths; the first one's question is hostile, the last one has no picture. */
function dataset(split: string, count: number): string {
  const all = JSON.parse(readFileSync(join(FOOD, `${split}.json`), "utf8")) as FoodRow[];
  const rows = all.slice(0, count).map((row, index) => {
    const [question, ...rest] = row.conversations;
    const value = index === 0 ? `<image>${HOSTILE}` : (question?.value as string);
    return { ...row, image: join(FOOD, row.image), conversations: [{ from: "human", value }, ...rest] };
  });
  const path = join(folder, `${split}.json`);
  writeFileSync(path, JSON.stringify([...rows, { ...rows[0], image: join(folder, "none.png") }]));
  return path;
}

/** A random model writes by chance what this pays for. */
function reward(): string {
  const path = join(folder, "by-length.mjs");
  writeFileSync(path, "export default function byLength(completion) { return completion.length / 100; }\n");
  return path;
}

const run = join(folder, "grpo");
const train = (out: string, ...more: string[]) => [
  ...["train", "--model", MODEL, "--dataset", dataset("train", 6), "--device=cpu", "--output-dir", out],
  ...["--prompts-per-step", "2", "--num_generations", "2", "--maxCompletionLength=8", "--lr", "1e-3"],
  ...["--report-to", "none", "--reward", reward(), ...more],
];

/** What a report's file shows. */
function dataOf(path: string): PageData {
  const html = readFileSync(path, "utf8");
  const text = /<script type="application\/json" id="page-data">(.*?)<\/script>/s.exec(html)?.[1] ?? "";
  return JSON.parse(text) as PageData;
}

describe("a run with held-out data", () => {
  let output = "";
  beforeAll(async () => {
    const { code, stderr } = await runCli(
      train(run, "--eval-dataset", dataset("test", 8), "--max-steps", "3", "--eval-steps", "2"),
    );
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    output = stderr;
  }, 60_000);

  test("has its report when it ends, with all that there is to show", () => {
    expect(output).toContain(`report: ${join(run, "report.html")}\n`);
    const { kind, version, runs, pictures } = dataOf(join(run, "report.html"));
    expect({ kind, version, runs: runs.length }).toEqual({ kind: "report", version: "0.1.0", runs: 1 });
    const [shown] = runs;
    expect(shown).toMatchObject({ name: "grpo", status: "finished", objective: "grpo", step: 3, totalSteps: 3 });
    expect(shown?.steps.step).toEqual([1, 2, 3]);
    for (const name of ["reward", "entropy", "grad_norm", "step_time", "completions/mean_length"]) {
      expect(shown?.steps.values[name], name).toHaveLength(3);
    }
    expect(shown?.evaluations.step).toEqual([0, 2, 3]);
    expect(shown?.heldOut?.rows).toBe(8);
    expect(shown?.heldOut?.scores.map(({ name }) => name)).toEqual(expect.arrayContaining(["reward", "right name"]));
    expect(shown?.gallery).toHaveLength(8);
    expect(shown?.completions).toHaveLength(12);
    expect(shown?.config).toMatchObject({ num_generations: 2, max_steps: 3 });
    expect(shown?.environment).toMatchObject({
      device: "cpu",
      "vlmr1-native": "0.1.0",
      "working folder": process.cwd(),
    });
    expect(shown?.data).toMatchObject({ rows: 6, heldOutRows: 8 });
    expect(shown?.warnings).toContainEqual({ step: 0, message: expect.stringContaining("cannot find the picture") });
    // Every example has its picture, in the file.
    for (const { pictures: keys } of [...(shown?.gallery ?? []), ...(shown?.completions ?? [])]) {
      expect(keys).toHaveLength(1);
      expect(pictures[Number(keys[0])]).toMatch(/^data:image\/webp;base64,/);
    }
    expect(new Set(pictures).size).toBe(pictures.length);
  });

  test("is one file below 3 MB that asks no network for anything, whatever the data says", () => {
    const html = readFileSync(join(run, "report.html"), "utf8");
    expect(Buffer.byteLength(html)).toBeLessThan(3e6);
    expect(html).not.toContain("<script>alert(1)");
    expect(html).not.toMatch(/<(script|link|img)[^>]* (src|href)="(?!data:)/);
    expect(dataOf(join(run, "report.html")).runs[0]?.gallery.some(({ question }) => question === HOSTILE)).toBe(true);
  });

  describeBrowser("from the disk", (browser) => {
    test("draws every part in a browser, without an error and without a request", async () => {
      const page = await browser().newPage();
      const wrong: string[] = [];
      const url = pathToFileURL(join(run, "report.html")).href;
      page.on("pageerror", (error) => wrong.push(error.message));
      page.on("console", (message) => {
        if (message.type() !== "log") wrong.push(message.text());
      });
      page.on("request", (request) => {
        const asked = request.url();
        if (asked !== url && !asked.startsWith("data:")) wrong.push(asked);
      });
      await page.goto(url);
      for (const id of ["overview", "curves", "held-out", "gallery", "completions", "warnings", "data", "config"]) {
        expect(await page.locator(`section#${id}`).count(), id).toBe(1);
        expect((await page.locator(`section#${id}`).textContent())?.length, id).toBeGreaterThan(20);
      }
      expect(await page.locator("section#gallery img").count()).toBeGreaterThanOrEqual(8);
      expect(wrong).toEqual([]);
      await page.close();
    });
  });

  test("made twice it has the same bytes, and the file that is there is replaced whole", async () => {
    const [one, two] = [join(folder, "new", "one.html"), join(folder, "two.html")];
    await writeReport(run, { out: one, made: MADE });
    await writeReport(run, { out: two, title: "earlier" });
    const report = await writeReport(run, { out: two, made: MADE });
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    expect(report).toMatchObject({ path: two, bytes: readFileSync(two).length, reduced: false });
    expect(dataOf(two)).toMatchObject({ made: MADE.toISOString(), title: "grpo" });
    expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("is written over reports and empty files alone, and through no link that lies in its way", async () => {
    const before = readFileSync(join(run, "metrics.jsonl"), "utf8");
    const refused = { code: "ERR_CONFIG", hint: expect.stringContaining("Only a report is written over") };
    for (const out of [join(run, "metrics.jsonl"), folder, "/dev/null"]) {
      await expect(writeReport(run, { out }), out).rejects.toMatchObject(refused);
    }
    expect(readFileSync(join(run, "metrics.jsonl"), "utf8")).toBe(before);
    const empty = join(folder, "empty.html");
    writeFileSync(empty, "");
    await writeReport(run, { out: empty });
    expect(dataOf(empty).title).toBe("grpo");
    const linked = join(folder, "linked.html");
    symlinkSync(join(run, "metrics.jsonl"), join(folder, ".writing-linked.html"));
    await expect(writeReport(run, { out: linked })).rejects.toMatchObject({ code: "ERR_IO" });
    expect(readFileSync(join(run, "metrics.jsonl"), "utf8")).toBe(before);
  });

  test("is made smaller until it fits, and refused where nothing helps", async () => {
    const whole = await writeReport(run, { out: join(folder, "whole.html"), made: MADE });
    const maxSize = whole.bytes - 10_000;
    const less = await writeReport(run, { out: join(folder, "less.html"), made: MADE, maxSize });
    expect(less.reduced).toBe(true);
    expect(less.bytes).toBeLessThanOrEqual(maxSize);
    expect(dataOf(less.path).runs[0]?.steps.step).toEqual([1, 2, 3]);
    const out = join(folder, "none.html");
    await expect(writeReport(run, { out, maxSize: "1KB" })).rejects.toMatchObject({
      code: "ERR_CONFIG",
      message: expect.stringContaining("max_size: the least that the report takes is"),
    });
    expect(existsSync(out)).toBe(false);
  });

  test("stands side by side with another one, from the command line", async () => {
    const other = join(folder, "other", "grpo");
    const trained = await runCli([
      ...["sft", "--model", MODEL, "--dataset", dataset("train", 4), "--device=cpu", "--output-dir", other],
      ...["--max-steps", "2", "--prompts-per-step", "2", "--report-to", "none", "--no-report", "--json"],
    ]);
    expect(trained.code).toBe(0);
    expect(existsSync(join(other, "report.html"))).toBe(false);
    const out = join(folder, "both.html");
    const { code, stdout } = await runCli(["report", run, other, "--out", out, "--title", HOSTILE, "--json"]);
    expect(code).toBe(0);
    expect(jsonLines(stdout)).toEqual([
      {
        path: out,
        bytes: readFileSync(out).length,
        reduced: false,
        runs: [
          { name: `${folder.split("/").at(-1)}/grpo`, status: "finished", step: 3, totalSteps: 3 },
          { name: "other/grpo", status: "finished", step: 2, totalSteps: 2 },
        ],
      },
    ]);
    const { runs, title } = dataOf(out);
    expect(title).toBe(HOSTILE);
    expect(runs[1]).toMatchObject({ objective: "sft", gallery: [], completions: [] });
    expect(runs[1]?.steps.values.loss).toHaveLength(2);
  });
});

test("a run that is interrupted has its report soon", async () => {
  const out = join(folder, "interrupted");
  const controller = new AbortController();
  let stderr = "";
  const write = (text: string) => {
    stderr += text;
    if (text.includes("2/50")) controller.abort(new Error("enough"));
    return true;
  };
  const code = await runProgram(train(out, "--max-steps", "50", "--logging-steps", "1"), {
    version: "1.2.3",
    signal: controller.signal,
    stdout: { write: () => true },
    stderr: { write },
    env: {},
  });
  expect(code).toBe(130);
  expect(stderr).toContain(`report: ${join(out, "report.html")}\n`);
  expect(dataOf(join(out, "report.html")).runs[0]).toMatchObject({ status: "interrupted", totalSteps: 50 });
});

test("a report that cannot be made is a warning of the run, and names how to make it", async () => {
  const out = join(folder, "blocked");
  mkdirSync(join(out, ".writing-report.html"), { recursive: true });
  const { code, stdout, stderr } = await runCli(train(out, "--max-steps", "1"));
  expect(code).toBe(0);
  expect(stdout).toContain("model: ");
  expect(stderr).toContain("warning: no report was made (cannot write the report");
  expect(stderr).toContain(`later: vlmr1-native report ${out}`);
  rmSync(join(out, ".writing-report.html"), { recursive: true });
  const later = await runCli(["report", out]);
  expect(later).toMatchObject({ code: 0, stdout: expect.stringMatching(/report\.html: \d+ kB\n$/) });
});

test.each([
  [["report"], 2, "missing required argument"],
  [["report", "none"], 1, "none is not there: expected run.json, config.yaml or metrics.jsonl"],
  [["report", "runs", "--max-size", "small"], 2, "expected a size such as 3MB"],
  [["report", "runs", "--galery", "1"], 2, "unknown option '--galery'"],
])("%j ends with %i", async (args, expected, message) => {
  const { code, stderr } = await runCli(args);
  expect(stderr).toContain(message);
  expect(code).toBe(expected);
});
