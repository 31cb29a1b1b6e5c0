// @ts-check
// Follows a run and steers it: callbacks, events, a checkpoint at a moment of one's own, and an end on a condition.
//   node examples/api/callbacks.mjs [folder of the run]

import { join } from "node:path";
import { packageRoot, Trainer } from "vlmr1-native";

const food = join(packageRoot(), "examples", "food");
const outputDir = process.argv[2] ?? "runs/api-callbacks";
const WANTED_REWARD = 1.2;

/**
 * Called one after another and awaited, so they may write files or ask a server. `run` steers the run. What they throw
 * ends it, behind a checkpoint; what a listener of `trainer.on` throws is a warning.
 *
 * @type {import("vlmr1-native").TrainerCallbacks}
 */
const callbacks = {
  onStart: ({ totalSteps, rows, trainableParameters }) => {
    console.log(`start: ${totalSteps} steps, ${rows} rows, ${trainableParameters} parameters to train`);
  },
  // What was sampled, before anything is learned from it.
  onRollout: ({ step, groups }) => {
    const same = groups.filter(({ completions }) => new Set(completions.map((c) => c.completion)).size === 1);
    console.log(`rollout ${step}: ${groups.length} groups, ${same.length} of them with one answer only`);
  },
  onStep: async ({ step, metrics }, run) => {
    const { reward = 0 } = metrics;
    console.log(`step ${step}: reward ${reward.toFixed(3)}`);
    if (step === 2) console.log(`a checkpoint of my own: ${await run.saveCheckpoint()}`);
    if (step >= 3 && reward > WANTED_REWARD) run.stop(`the reward is above ${WANTED_REWARD}`);
  },
  onEnd: ({ status, step, reason }) => {
    console.log(`end: ${status} after step ${step}${reason === undefined ? "" : `, because ${reason}`}`);
  },
};

const trainer = new Trainer({
  model: join(food, "starter"),
  dataset: join(food, "train-quick.json"),
  callbacks,
  outputDir,
  overwriteOutputDir: true,
  maxSteps: 6,
  promptsPerStep: 4,
  numGenerations: 4,
  maxCompletionLength: 48,
  learningRate: 2e-4,
  saveTotalLimit: 3,
  seed: 1,
});
trainer.on("checkpoint", ({ step, path }) => console.log(`checkpoint of step ${step}: ${path}`));
trainer.once("step", () => console.log("the first step is done"));
trainer.on("warning", (message) => console.warn(`warning: ${message}`));

try {
  // A loop with nothing in it: all is told to callbacks and listeners.
  for await (const _step of trainer.run());
} finally {
  await trainer.dispose();
}
