import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parse } from "csv-parse/sync";
import { beforeAll, describe, expect, test } from "vitest";
import { readRecord } from "../../lib/eval/index.js";
import { temporaryFolder } from "../support/temporary.js";

/** The commands that people type, as processes of their own, with few steps; `npm run road` takes as many as it needs. */
describe("from a site to a trained model and its report", () => {
  const folder = join(temporaryFolder(), "road");
  const at = (...names: string[]) => join(folder, ...names);
  const read = (...names: string[]) => readFileSync(at(...names), "utf8");
  let output = "";

  beforeAll(async () => {
    const script = fileURLToPath(new URL("../../scripts/road/road.mjs", import.meta.url));
    const args = [script, "--out", folder, "--sft-steps", "12", "--steps", "8"];
    output = (await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 })).stdout;
  }, 300_000);

  test("crawls every food of the site once, with its picture", () => {
    const rows = parse<Record<string, string>>(read("crawl", "items.csv"), { bom: true, columns: true });
    expect(rows).toHaveLength(118);
    expect(rows[0]).toMatchObject({ name: "葡萄", heat: "69 大卡(每100克)" });
    expect(rows.every(({ image_path = "" }) => existsSync(at("crawl", image_path)))).toBe(true);
  });

  test("converts all of them, and keeps a picture on one side", () => {
    const sets = ["train", "test"].map((name) => JSON.parse(read("data", `${name}.json`)) as { image: string }[]);
    expect(sets.flat()).toHaveLength(118 * 6);
    const [train = [], held = []] = sets.map((rows) => rows.map(({ image }) => image));
    expect(train.filter((image) => held.includes(image))).toEqual([]);
    expect(output).toMatch(/sharing a picture with the other data +0\n/);
  });

  test("a cold start and GRPO leave models, records and reports", async () => {
    expect(existsSync(at("sft-model", "model.safetensors"))).toBe(true);
    const [before, after] = await Promise.all([
      readRecord(at("grpo", "before.json")),
      readRecord(at("grpo", "after.json")),
    ]);
    expect(before.answers).toHaveLength(after.answers.length);
    const steps = read("grpo", "metrics.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const sampled = steps.filter((metrics) => "reward" in metrics);
    expect(sampled).toHaveLength(8);
    for (const metrics of sampled) expect(metrics["sampling/sampling_logp_difference/max"]).toBe(0);
    expect(output).toMatch(/mean reward +\d\.\d+ +\d\.\d+ +[+−]\d/);
  });

  test("one page shows both runs", () => {
    const page = read("report.html");
    expect(page.length).toBeLessThan(3e6);
    expect(page).toContain('"name":"sft"');
    expect(page).toContain('"name":"grpo"');
    expect(page).toContain("葡萄");
  });
});
