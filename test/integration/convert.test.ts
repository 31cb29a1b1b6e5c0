import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "csv-stringify/sync";
import { describe, expect, it } from "vitest";
import { jsonLines, runCli } from "../support/cli.js";
import { writePicture } from "../support/pictures.js";
import { temporaryFolder } from "../support/temporary.js";

const root = temporaryFolder();
const examples = fileURLToPath(new URL("../../examples/food/", import.meta.url));

/** A folder as the crawler leaves it. */
async function crawled(): Promise<{ folder: string; csv: string }> {
  const folder = mkdtempSync(join(root, "t-"));
  mkdirSync(join(folder, "images"));
  const rows = [["name", "heat", "image", "image_path"]];
  for (const index of Array.from({ length: 10 }).keys()) {
    await writePicture(join(folder, `images/${index}.png`), index * 20, 40);
    rows.push([`食物${index}`, `${40 + index} 大卡(每100克)`, `http://x/${index}.png`, `images/${index}.png`]);
  }
  rows.push(["空", "N/A", "http://x/11.png", "images/0.png"]);
  const csv = join(folder, "foods.csv");
  writeFileSync(csv, stringify(rows, { bom: true, escape_formulas: true }));
  return { folder, csv };
}

describe("convert", () => {
  it("writes training and test data that a check accepts", async () => {
    const { folder, csv } = await crawled();
    const out = join(folder, "data");
    const done = await runCli(["convert", csv, "--output", out, "--test_split", "0.2", "--seed", "5"]);
    expect(done).toMatchObject({ code: 0 });
    expect(done.stdout).toMatch(
      /^rows read +11\nrows left out +1\n +a field is empty +1\nrows in \/.*train\.json +8\nrows in .*test\.json +2\n\n10 different pictures, \d questions, 10 answers\nmost frequent .*\nnumbers in the answers +0 +▄{8}█ +9\n/,
    );
    expect(done.stdout.split("\n").length).toBeLessThan(15);
    expect(done.stderr).toMatch(/warning: left out: .*foods\.csv, line 12: heat: is "N\/A"/);
    const checked = await runCli([
      ...["convert", "--check", join(out, "train.json"), "--against", join(out, "test.json")],
      ...["--model", join(examples, "starter"), "--reward", "content", "format", "--json"],
    ]);
    expect(checked).toMatchObject({ code: 0, stderr: "" });
    const [report] = jsonLines(checked.stdout);
    expect(report).toMatchObject({ unusable: 0, leaks: [], duplicates: [], max_prompt_tokens: 3840 });
    expect(report?.rewards).toMatchObject([
      { name: "content", applies: 8, mean: 2 },
      { name: "format", applies: 8, mean: 0 },
    ]);
    expect(report?.rows).toHaveLength(8);
    expect(report).toHaveProperty("rows.0.picture_tokens", 4);
    expect(report?.prompts).toMatchObject([
      { prompt: expect.stringContaining("<|vision_start|><|image_pad|><|vision_end|>") },
      {},
    ]);
  });

  it("fails with --strict where a row is left out, and says how to replace files", async () => {
    const { folder, csv } = await crawled();
    const args = ["convert", "--input", csv, "--out", join(folder, "data.jsonl")];
    const strict = await runCli([...args, "--strict", "--json"]);
    expect(strict.code).toBe(1);
    expect(strict.stderr).toMatch(/1 rows are left out, and --strict is given/);
    expect(jsonLines(strict.stdout)[0]).toMatchObject({ rows: 10, counts: { missing_field: 1 } });
    const again = await runCli(args);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("--overwrite-output") });
    expect((await runCli([...args, "--overwrite"])).code).toBe(0);
  });

  it("reads its options from a file", async () => {
    const { folder, csv } = await crawled();
    const config = join(folder, "convert.yaml");
    const output = join(folder, "all.json");
    writeFileSync(
      config,
      `input: ${csv}\noutput: ${output}\nquestions: food-en\nquestions_per_row: all\nkeep: [heat]\n`,
    );
    expect((await runCli(["convert", "--config", config, "--set", "think=I see {name}."])).code).toBe(0);
    const rows = JSON.parse(readFileSync(output, "utf8")) as { conversations: { value: string }[]; heat: string }[];
    expect(rows).toHaveLength(60);
    expect(rows[0]?.conversations[1]?.value).toBe("<think>I see 食物0.</think><answer>食物0 40 kcal</answer>");
    expect(rows[0]?.heat).toBe("40 大卡(每100克)");
  });

  it("ends with 130 where it is interrupted, and leaves no data", async () => {
    const { folder, csv } = await crawled();
    const controller = new AbortController();
    controller.abort();
    const output = join(folder, "data.json");
    expect((await runCli(["convert", csv, "--output", output], { signal: controller.signal })).code).toBe(130);
    expect(() => readFileSync(output)).toThrow();
  });

  it.each([
    [["convert"], /expected a file or folder/],
    [["convert", "a.csv"], /expected --output/],
    [["convert", "a.csv", "--input", "b.csv", "--output", "x"], /input is given twice/],
    [["convert", "a.csv", "--output", "x", "--model", "m"], /--model is for --check/],
    [["convert", "--check", "a.csv"], /--check looks at conversations/],
    [["convert", "a.csv", "--output", "x", "--test-split", "1.5"], /test_split/],
    [
      ["convert", "a.csv", "--output", "x", "--questions-per-row", "0"],
      /questions_per_row .*: expected at least 1, got 0/,
    ],
    [["convert", "a.csv", "--qestions", "x"], /unknown option/],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await runCli(args);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
  });
});

describe("convert --check", () => {
  it("accepts the examples", async () => {
    const done = await runCli([
      "convert",
      "--check",
      join(examples, "test-quick.json"),
      "--model",
      join(examples, "starter"),
    ]);
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(done.stdout).toMatch(/rows that can be used +384\n/);
    expect(done.stdout).toMatch(/tokens of a prompt +\d+ +\d+ +\d+ +\d+\n/);
    expect(done.stdout).toMatch(/--- .*: \d+ tokens, a picture of 112×112 as 56×56 \(4 tokens\)\n<\|im_start\|>system/);
  });

  it("fails where a row cannot be used, and warns of pictures on both sides", async () => {
    const folder = mkdtempSync(join(root, "c-"));
    await writePicture(join(folder, "a.png"), 1);
    const turns = [
      { from: "human", value: "?" },
      { from: "gpt", value: "!" },
    ];
    const data = join(folder, "data.json");
    writeFileSync(
      data,
      JSON.stringify([
        { id: "a", image: "a.png", conversations: turns },
        { id: "b", image: "b.png", conversations: turns },
      ]),
    );
    const done = await runCli(["convert", "--check", data, "--against", data]);
    expect(done.code).toBe(1);
    expect(done.stderr).toMatch(/left out: .*row 2 \(id "b"\): cannot find the picture/);
    expect(done.stderr).toMatch(/a has a picture of a, of the data it is checked against/);
    expect(done.stderr).toMatch(/1 of 2 rows cannot be used/);
  });
});
