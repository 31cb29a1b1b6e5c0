import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary.js";

interface Kill {
  kind: string;
  during: string;
}

// Scripts have no types.
const { killAndResume, compareRuns } = (await import(
  fileURLToPath(new URL("../../scripts/kill-resume.mjs", import.meta.url))
)) as {
  killAndResume(options: object): Promise<{ kills: Kill[]; lives: number; problems: string[] }>;
  compareRuns(expected: string, got: string): string[];
};

const folder = temporaryFolder();
/** All that a checkpoint has to hold: small moments, a reference that moves, a place in the data that is no multiple. */
const MORE = [
  ...["--optim", "adamw_8bit", "--beta", "0.04", "--sync-ref-model", "--ref-model-sync-steps", "2"],
  ...["--dynamic-sampling", "--gradient-accumulation-steps", "2", "--steps-per-generation", "4"],
];

test("killed 25 times, at its start, between, in checkpoints and in evaluations, a run ends in the same bits", {
  timeout: 120_000,
}, async () => {
  const { kills, lives, problems } = await killAndResume({ kills: 25, seed: 1, steps: 30, folder, more: MORE });
  const met = (what: string) => kills.filter(({ during }) => during === what).length;
  expect(problems).toEqual([]);
  expect(kills.length).toBeGreaterThanOrEqual(25);
  expect(met("checkpoint")).toBeGreaterThanOrEqual(5);
  expect(met("evaluation")).toBeGreaterThanOrEqual(3);
  expect(lives).toBeGreaterThanOrEqual(1);

  // What compares sees a bit.
  const expected = join(folder, "reference");
  const changes: [string, (text: string) => string][] = [
    ["checkpoints/step-000030/trainer.json", (text) => text.replace('"updates":', '"updates":1')],
    ["metrics.jsonl", (text) => `${text}${text.trimEnd().split("\n").at(-1)}\n`],
    ["completions.jsonl", (text) => text.replace('"advantage":', '"advantage":1')],
    ["warnings.jsonl", (text) => text.replace("held-out rows", "other rows")],
    ["environment.json", (text) => text.replace('"from_step": 0', '"from_step": 1')],
  ];
  for (const [name, change] of changes) {
    const other = join(folder, name.replaceAll("/", "-"));
    cpSync(expected, other, { recursive: true });
    expect(compareRuns(expected, other)).toEqual([]);
    writeFileSync(join(other, name), change(readFileSync(join(other, name), "utf8")));
    expect(compareRuns(expected, other)).toEqual([`${name} differs`]);
  }
  const other = join(folder, "bit");
  cpSync(expected, other, { recursive: true });
  const state = join(other, "checkpoints/step-000030/state.safetensors");
  const bytes = readFileSync(state);
  bytes[bytes.length - 5] = (bytes[bytes.length - 5] as number) ^ 1;
  writeFileSync(state, bytes);
  expect(compareRuns(expected, other)).toEqual(["checkpoints/step-000030/state.safetensors differs"]);
});

test("so does one that is asked to end, which it does in order and soon", { timeout: 120_000 }, async () => {
  const options = { kills: 12, seed: 2, steps: 20, signal: "SIGINT", folder: join(folder, "asked") };
  const { kills, problems } = await killAndResume(options);
  expect(problems).toEqual([]);
  expect(kills).toHaveLength(12);
});
