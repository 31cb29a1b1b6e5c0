import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = realpathSync(temporaryFolder());

/** The package as it is built: examples import it by its name. */
function node(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  return { status, output: stdout + stderr };
}

/** Runs an example into a folder of its own and gives what it printed. */
function runExample(name: string): { out: string; lines: string[] } {
  const out = mkdtempSync(join(folder, `${name}-`));
  const { status, output } = node(`examples/api/${name}.mjs`, out);
  expect({ status, output }).toMatchObject({ status: 0 });
  return { out, lines: output.trimEnd().split("\n") };
}

function count(lines: readonly string[], pattern: RegExp): number {
  return lines.filter((line) => pattern.test(line)).length;
}

function tsc(project: string): string {
  return node("node_modules/typescript/bin/tsc", "-p", project, "--noEmit", "--pretty", "false").output;
}

test("every example is in the table of their README, and no other", () => {
  const files = readdirSync(join(root, "examples/api")).filter((file) => file.endsWith(".mjs"));
  const table = readFileSync(join(root, "examples/api/README.md"), "utf8").matchAll(/^\| \[(.+\.mjs)\]\(\1\)/gm);
  expect([...table].map(([, file]) => file).sort()).toEqual(files.sort());
});

test("the examples' types hold", () => {
  expect(tsc("examples/api")).toBe("");
});

test("programs as users write them compile against the package's declarations", () => {
  expect(tsc("test/types")).toBe("");
});

test("train: rewards of one's own are logged by their names, and the model is saved", () => {
  const { out, lines } = runExample("train");
  expect(count(lines, /^step [1-4] of 4: reward \d\.\d{3}, e\.g\. \S/)).toBe(4);
  expect(count(lines, /"content":\d.*"format":\d.*"energy":\d.*"language":[01]\}, advantage -?\d/)).toBe(4);
  expect(existsSync(join(out, "model", "model.safetensors"))).toBe(true);
});

test("callbacks: comes to its end by its own condition, with a checkpoint of its own", () => {
  const { out, lines } = runExample("callbacks");
  expect(lines[0]).toBe("start: 6 steps, 560 rows, 3205696 parameters to train");
  expect(lines.indexOf("the first step is done")).toBeGreaterThan(lines.findIndex((line) => /^step 1:/.test(line)));
  expect(count(lines, /^the first step is done$/)).toBe(1);
  expect(count(lines, /^rollout \d: 4 groups/)).toBe(count(lines, /^step \d: reward/));
  const second = join(out, "checkpoints", "step-000002");
  expect(lines).toContain(`checkpoint of step 2: ${second}`);
  expect(lines).toContain(`a checkpoint of my own: ${second}`);
  expect(existsSync(second)).toBe(true);
  expect(lines.at(-1)).toMatch(/^end: interrupted after step [3-5], because the reward is above 1\.2$/);
});

test("resume: what goes on is bit for bit what was not interrupted", () => {
  const { lines } = runExample("resume");
  const steps = lines.filter((line) => line.startsWith("  step "));
  expect(steps).toHaveLength(8);
  expect(steps.slice(4)).toEqual(steps.slice(0, 4));
  expect(lines.indexOf("  interrupted: somebody needs the machine")).toBe(lines.indexOf("and goes on") - 1);
  expect(lines.slice(-2)).toEqual(["model.safetensors: the same bits", "state.safetensors: the same bits"]);
});

test("losses: clipping stops the gradient, and a wider range lets it go on", () => {
  const { lines } = runExample("losses");
  expect(lines[0]).toBe("advantages: [1.305, -0.783, 0.261, -0.783]");
  // By hand: ρ = exp(-1.0 + 0.9) = 0.905, A = 1.305, over 2 tokens and 4 completions: -ρ·A/8.
  expect(lines.find((line) => line.startsWith("  grpo  "))).toContain("[0.000, -0.148]");
  // −(−0.783)/4: the ratio is 1.
  expect(lines.find((line) => line.startsWith("  grpo  "))).toContain("[0.196]");
  for (const name of ["bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo", "luspo", "grpo, sequence", "grpo, beta"]) {
    expect(count(lines, new RegExp(`^ {2}${name} .*-?\\d\\.\\d{4} {2}\\[`))).toBe(1);
  }
  // −exp(0.8)·1.305/8
  expect(lines.slice(-4).map((line) => line.replace(/;.*/, ""))).toEqual([
    "  epsilon_high 0.2: 0.0000 (clipped: no gradient",
    "  epsilon_high 0.28: 0.0000 (clipped: no gradient",
    "  epsilon_high 1: 0.0000 (clipped: no gradient",
    "  epsilon_high 1.5: -0.3631 (not clipped",
  ]);
});

test("evaluate: ends with the weights of the best evaluation", () => {
  const { out, lines } = runExample("evaluate");
  const scores = lines.flatMap((line) => {
    const [, step, score] = /^evaluation after step (\d+): (\S+?)(, the best so far)?$/.exec(line) ?? [];
    return step === undefined ? [] : [{ step: Number(step), score: Number(score) }];
  });
  const trained = scores.slice(1, -1);
  const best = trained.reduce((one, other) => (other.score > one.score ? other : one));
  expect(scores[0]?.step).toBe(0);
  expect(scores.at(-1)).toEqual(best);
  const [, step, score] =
    lines.map((line) => /^the weights are those of step (\d+): (\S+)$/.exec(line)).find(Boolean) ?? [];
  expect({ step: Number(step), score: Number(score) }).toEqual(best);
  expect(count(lines, /^finished after step \d+: early stopped after 2 evaluations without/)).toBe(1);
  expect(JSON.parse(readFileSync(join(out, "best.json"), "utf8"))).toMatchObject({ step: best.step });
});

test("lora: the adapter and the merged model give the same answer", () => {
  const { out, lines } = runExample("lora");
  expect(lines[0]).toBe("108544 of 3205696 parameters are trained");
  expect(count(lines, /^step [1-3]: reward \d\.\d{3}, kl -?\d\.\d{5}$/)).toBe(3);
  for (const file of ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "merged/model.safetensors"]) {
    expect(existsSync(join(out, file))).toBe(true);
  }
  const answers = lines.slice(-2).map((line) => line.split(": ").slice(1).join(": "));
  expect(answers[0]).toMatch(/\S/);
  expect(answers[1]).toBe(answers[0]);
});
