// @ts-check
// Interrupts a run in the middle of a step, goes on in another trainer, and compares the end with a run that was left
// alone: the same bits.
//   node examples/api/resume.mjs [folder for both runs]

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot, Trainer } from "vlmr1-native";

const food = join(packageRoot(), "examples", "food");
const folder = process.argv[2] ?? "runs/api-resume";

/** @type {import("vlmr1-native").GrpoTrainerOptions} */
const options = {
  model: join(food, "starter"),
  dataset: join(food, "train-quick.json"),
  maxSteps: 4,
  promptsPerStep: 4,
  numGenerations: 4,
  maxCompletionLength: 48,
  learningRate: 2e-4,
  saveSteps: 2,
  seed: 1,
};

/**
 * Trains until the end, or until `signal` is aborted, and gives the reward of each step.
 *
 * @param {Partial<import("vlmr1-native").GrpoTrainerOptions>} more
 * @param {AbortSignal} [signal]
 */
async function train(more, signal) {
  const trainer = new Trainer({ ...options, ...more });
  try {
    for await (const { step, metrics } of trainer.run({ signal })) {
      console.log(`  step ${step}: reward ${metrics.reward}, gradient norm ${metrics.grad_norm}`);
    }
  } finally {
    await trainer.dispose();
  }
}

console.log("a run that is left alone");
const whole = join(folder, "whole");
await train({ outputDir: whole, overwriteOutputDir: true });

console.log("a run that is interrupted in its third step");
const interrupted = join(folder, "interrupted");
// Anything may abort it: Ctrl-C (process.on("SIGINT", () => controller.abort())), AbortSignal.timeout(60_000), a button.
const controller = new AbortController();
/** @type {import("vlmr1-native").TrainerCallbacks} */
const callbacks = {
  onRollout: ({ step }) => {
    if (step === 3) controller.abort(new Error("somebody needs the machine"));
  },
};
try {
  await train({ outputDir: interrupted, overwriteOutputDir: true, callbacks }, controller.signal);
} catch (error) {
  // run() rejects with the reason of the abort; a checkpoint is written by then.
  if (!controller.signal.aborted) throw error;
  console.log(`  interrupted: ${/** @type {Error} */ (error).message}`);
}

console.log("and goes on");
await train({ outputDir: interrupted, resume: true });

const last = join("checkpoints", "step-000004");
for (const file of ["model.safetensors", "state.safetensors"]) {
  const [one, other] = [whole, interrupted].map((run) => readFileSync(join(run, last, file)));
  console.log(`${file}: ${one?.equals(/** @type {Buffer} */ (other)) ? "the same bits" : "DIFFERENT"}`);
}
