// Makes examples/food/starter from nothing: random weights, then a cold start on one studio's pictures. The model learns
// the form of an answer, the foods' names and energy, and to know the foods as this one studio draws them.
// Usage: node scripts/food/make-starter.mjs   (about 6 minutes on 2 cores; deterministic for an instruction set)
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
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

/** Pictures at 56 × 56, four visual tokens: so small a model learns faster from them, and knows more of what it never saw. */
async function seeSmallPictures(folder) {
  const file = join(folder, "preprocessor_config.json");
  const settings = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, `${JSON.stringify({ ...settings, max_pixels: 56 * 56 }, null, 2)}\n`);
}

await setup();
const scratch = await mkdtemp(join(tmpdir(), "vlmr1-starter-"));
try {
  const random = join(scratch, "random");
  await vlmr1("init-model", "--preset", "starter", "--tokenizer", food("tokenizer"), "--out", random, "--seed", "1");
  await seeSmallPictures(random);
  await rm(starter, { recursive: true, force: true });
  await vlmr1(
    "sft",
    ...["--model", random, "--config", food("starter.yaml"), "--output-dir", join(scratch, "run")],
    ...["--dataset", food("sft.json"), "--eval-dataset", food("test.json"), "--save-model-to", starter],
  );
} finally {
  await rm(scratch, { recursive: true, force: true });
}
