import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SIZES = ["--preset", "tiny", "--picture", "56", "--prompts", "1", "--generations", "2", "--completion", "2"];

interface Row {
  results: { peakBytes: number; loadedBytes: number }[];
  conditions: object;
}

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

// Scripts have no types.
const script = (name: string) => import(`${ROOT}scripts/bench/${name}.mjs`);

function compare(kind: "trl" | "torch", ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [`${ROOT}scripts/bench/${kind}/compare.mjs`, ...args],
    { cwd: ROOT, encoding: "utf8" },
  );
  return { code: status, stdout, stderr };
}

/** A program in Python's place: `body` gets the arguments behind the script's name. */
function python(name: string, body: string): string {
  writeFileSync(at(name), `#!${process.execPath}\n${body}`);
  chmodSync(at(name), 0o755);
  return at(name);
}

/** Answers at once; its seconds depend on the settings. Some settings fail. */
const TRL_OF_SETTINGS = `
  const [, , , , precision, text] = process.argv;
  const settings = JSON.parse(text);
  if (settings.torch_compile) { console.error("no compiler"); process.exit(3); }
  const answer = (event) => console.log("@bench " + JSON.stringify(event));
  let seconds = 1;
  if (process.env.THP_MEM_ALLOC_ENABLE) seconds *= 0.9;
  if (process.env.OMP_PROC_BIND) seconds *= 1.5;
  if (settings.attention === "eager") seconds *= 0.8;
  if (settings.micro_batch === 1) seconds *= 0.99;
  if (settings.mkldnn === false) seconds *= 0.1;
  const entropy = settings.mkldnn === false ? 3 : 5;
  const lengths = [2, settings.cache_implementation ? 1 : 2];
  answer({ event: "ready", program: "fake", threads: 1, parameters: 7, inputs: [] });
  require("node:readline").createInterface({ input: process.stdin }).on("line", () => {
    const parts = { inputs: 0, generation: seconds / 2, train: seconds / 2, optimizer: 0 };
    answer({ event: "step", seconds: parts, lengths, entropy });
  });
`;

/** This project's own half, which does the same work for sure. */
const TRL_OF_OURS = `
  const [node, , , workload, precision] = process.argv;
  process.argv = [node, "ours.mjs", workload, precision === "f32" ? "f32" : "bf16"];
  import("${ROOT}scripts/bench/trl/ours.mjs");
`;

test("a search keeps each change that is faster and does the same work", () => {
  const fake = python("settings.cjs", TRL_OF_SETTINGS);
  const args = [...SIZES, "--python", fake, "--precision", "f32", "--search", at("found.json"), "--rounds", "2"];
  const { code, stdout, stderr } = compare("trl", ...args, "--json");
  expect(stderr).toBe("");
  expect(code).toBe(0);

  const row = JSON.parse(stdout)["tiny, picture 56, f32"];
  expect(row.settings).toEqual({
    malloc: "tuned",
    attention: "eager",
    optim: "adamw_torch_fused",
    env: { THP_MEM_ALLOC_ENABLE: "1" },
  });
  const tried = (change: object) =>
    row.tried.find((one: { change: object }) => JSON.stringify(one.change) === JSON.stringify(change));
  expect(tried({ attention: "eager" }).ratio).toBeCloseTo(0.8);
  expect(tried({ env: { OMP_PROC_BIND: "true" } }).best).toHaveLength(1);
  expect(tried({ micro_batch: 1 })).toMatchObject({
    least: expect.closeTo(0.99),
    best: [expect.closeTo(0.72), expect.closeTo(0.72)],
  });
  expect(tried({ mkldnn: false }).error).toContain("not the same model");
  expect(tried({ cache_implementation: "static" }).error).toContain("completions of 2,1");
  expect(tried({ torch_compile: true }).error).toContain("no compiler");
  expect(JSON.parse(readFileSync(at("found.json"), "utf8"))).toEqual(JSON.parse(stdout));
});

test("a matrix has a row for each precision, and goes on where it ended", () => {
  const found = {
    precision: "bf16",
    shape: { preset: "tiny", picture: 28 },
    settings: { malloc: "default", optim: "x" },
  };
  writeFileSync(at("near.json"), JSON.stringify({ near: found }));
  const args = [...SIZES, "--precision", "f32,bf16", "--matrix", at("rows.json"), "--found", at("near.json")];
  const run = (...more: string[]) => compare("trl", ...args, "--rounds", "1", "--threads", "1", ...more);
  const { code, stdout, stderr } = run("--python", python("ours.cjs", TRL_OF_OURS), "--json");
  expect(stderr).toBe("");
  expect(code).toBe(0);

  const rows = JSON.parse(stdout);
  expect(Object.keys(rows)).toEqual(["tiny, picture 56, f32", "tiny, picture 56, bf16"]);
  for (const [key, { results, conditions }] of Object.entries<Row>(rows)) {
    const precision = key.split(", ")[2];
    expect(conditions).toMatchObject({ rounds: 1 });
    expect(results).toMatchObject([
      { name: `vlmr1-native ${precision}`, precision },
      { name: `TRL ${precision}, malloc ${precision === "f32" ? "tuned" : "default"}`, precision, base: 0 },
    ]);
    for (const { peakBytes, loadedBytes } of results) expect(peakBytes).toBeGreaterThanOrEqual(loadedBytes);
  }
  expect(rows["tiny, picture 56, bf16"].results[1]).toMatchObject({ settings: found.settings, settingsFrom: "near" });

  const again = run("--python", at("there-is-no-such-program"));
  expect(again.code).toBe(0);
  expect(again.stdout).toContain("× ours (least–most)");
  expect(JSON.parse(readFileSync(at("rows.json"), "utf8"))).toEqual(rows);

  const other = run("--generations", "4");
  expect(other.code).toBe(1);
  expect(other.stderr).toContain("was measured with --generations 2, not 4; name another file");
});

test("settings are those found for the row, else for the nearest", async () => {
  const { foundSettings, merged } = await script("trl/settings");
  const row = (preset: string, picture: number, precision: string) => ({
    shape: { preset, picture },
    precision,
    settings: `${preset} ${picture} ${precision}`,
  });
  const found = { a: row("small", 1, "f32"), b: row("large", 1, "f32"), c: row("large", 2, "f32") };
  const of = (preset: string, picture: number, precision: string) =>
    foundSettings(found, { preset, picture }, precision);
  expect(of("large", 2, "f32")).toEqual({ from: "c", settings: "large 2 f32" });
  expect(of("large", 3, "f32")).toEqual({ from: "b", settings: "large 1 f32" });
  expect(of("huge", 3, "f32")).toEqual({ from: "a", settings: "small 1 f32" });
  expect(of("large", 2, "bf16")).toBeUndefined();
  expect(merged({ env: { A: "1" }, x: 1 }, { env: { B: "2" } })).toEqual({ env: { A: "1", B: "2" }, x: 1 });
});

test("an answer that nobody waits for any more does not stop a worker that has work", async () => {
  const { Worker } = await script("common/worker");
  const slow = `
    const { setTimeout: sleep } = require("node:timers/promises");
    const answer = async (line) => console.log(await sleep(200, "@bench " + line));
    let last = Promise.resolve();
    const take = (line) => { last = last.then(() => answer(line)); };
    require("node:readline").createInterface({ input: process.stdin }).on("line", take);
  `;
  const worker = new Worker("slow", process.execPath, ["-e", slow]);
  try {
    // The first is given up, and the next one asked for meanwhile.
    const given = worker.step("1");
    expect(await Promise.race([given, Promise.resolve("late")])).toBe("late");
    expect(await worker.step("2")).toBe(2);
    expect(await worker.step("3")).toBe(3);
  } finally {
    worker.end();
  }
});

describe("a wrong command line", () => {
  test.each([
    ["trl", ["--precision", "f16"], '--precision: no "f16"; there are: f32, autocast, bf16'],
    ["trl", ["--picture", "196,448"], "--picture: several only with --matrix or --search"],
    ["trl", ["--matrix", "a", "--search", "b"], "--search and --matrix: one after the other"],
    ["trl", ["--trl", "3"], '--trl: expected a JSON object such as {"attention": "eager"}, got 3'],
    ["trl", ["--rounds", "none"], '--rounds: expected a number above 0, got "none"'],
    ["torch", ["--only", "gemm"], '--only: no "gemm"; there are: layer, attention'],
    ["torch", ["--threads", "1.5"], '--threads: expected a whole number above 0, got "1.5"'],
  ] as const)("%s %j is refused", (kind, args, message) => {
    const { code, stderr } = compare(kind, ...args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

test.skipIf(!existsSync(`${ROOT}build/Release/vlmr1_native_layer_bench`))("the native half answers each case", () => {
  const cases = [
    { kind: "layer", precision: "bf16", tokens: 8, width: 64, heads: 2, kvHeads: 1, inner: 96, fresh: true },
    { kind: "attention", precision: "f32", tokens: 8, heads: 2, kvHeads: 1, headSize: 16 },
    { kind: "rms_norm", tokens: 4, width: 32 },
    { kind: "swiglu", tokens: 4, width: 32 },
    { kind: "logprob", rows: 4, vocab: 100 },
    { kind: "adamw", elements: 100 },
  ];
  const run = (lines: string[]) =>
    spawnSync(`${ROOT}build/Release/vlmr1_native_layer_bench`, ["1"], { input: lines.join("\n"), encoding: "utf8" });
  const { status, stdout } = run(cases.map((one) => JSON.stringify(one)));
  expect(status).toBe(0);
  const [ready, ...steps] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line.slice("@bench ".length)));
  expect(ready.program).toMatch(/^vlmr1-native /);
  // Output and the gradient of each input.
  expect(steps.map(({ norms }) => norms.length)).toEqual([2, 4, 3, 3, 2, 1]);
  for (const { norms } of steps) for (const norm of norms) expect(norm).toBeGreaterThan(0);

  const wrong = run(['{"kind":"conv"}']);
  expect(wrong.status).toBe(1);
  expect(wrong.stderr).toContain("kind: expected layer, attention, rms_norm, swiglu, logprob or adamw, got conv");
});
