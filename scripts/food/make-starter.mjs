// Makes examples/food/starter from nothing: random weights, then a cold start on one studio's pictures. The model learns
// the form of an answer, the foods' names and energy, and to know the foods as this one studio draws them.
// Usage: node scripts/food/make-starter.mjs   (about 6 minutes on 2 cores; deterministic for an instruction set)
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, run } from "../build/run.mjs";
import { setup } from "../setup.mjs";

const food = (...parts) => join(root, "examples/food", ...parts);
const starter = food("starter");

async function vlmr1(...args) {
  const code = await run(process.execPath, [join(root, "dist/cli/main.js"), ...args]);
  if (code !== 0) throw new Error(`vlmr1-native ${args[0]} ended with ${code}`);
}

await setup();
const scratch = await mkdtemp(join(tmpdir(), "vlmr1-starter-"));
try {
  const random = join(scratch, "random");
  await vlmr1("init-model", "--preset", "starter", "--tokenizer", food("tokenizer"), "--out", random, "--seed", "1");
  await rm(starter, { recursive: true, force: true });
  await vlmr1(
    "sft",
    ...["--model", random, "--config", food("starter.yaml"), "--output-dir", join(scratch, "run")],
    ...["--dataset", food("sft.json"), "--eval-dataset", food("test.json"), "--save-model-to", starter],
  );
} finally {
  await rm(scratch, { recursive: true, force: true });
}
