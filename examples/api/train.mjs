// @ts-check
// Trains the bundled starter for a few steps, with rewards of one's own, and saves the model.
//   node examples/api/train.mjs [folder of the run]

import { join } from "node:path";
import { packageRoot, rewards, Trainer } from "vlmr1-native";

// Put your own here. A model is a folder or a name on the Hugging Face Hub, data is a file of conversations.
const food = join(packageRoot(), "examples", "food");
const model = join(food, "starter");
const dataset = join(food, "train-quick.json");
const outputDir = process.argv[2] ?? "runs/api-train";

/**
 * How near the number of the answer is to that of the row's solution: 1 where it is the same, 0 where it is twice as
 * large or nothing. Null says that a reward does not apply; the row's other rewards then decide alone.
 *
 * @type {import("vlmr1-native").RewardFunction}
 */
function energy(completion, row) {
  const [expected] = rewards.parseNumbers(rewards.firstAnswer(row.solution) ?? "");
  if (expected === undefined) return null;
  const [answered] = rewards.parseNumbers(rewards.firstAnswer(completion) ?? "");
  return answered === undefined ? 0 : Math.max(0, 1 - Math.abs(answered - expected) / expected);
}

/**
 * Whether the model answers in the question's language. `row.raw` has all fields of the row as they stand in the file;
 * the ids of this data set end with the language, as in twemoji/grapes#zh1.
 *
 * @type {import("vlmr1-native").RewardFunction}
 */
function language(completion, row) {
  const chinese = /#zh\d+$/.test(String(row.raw.id));
  return /\p{Script=Han}/u.test(completion) === chinese ? 1 : 0;
}

// Options are those of the command line and of config files, in camelCase.
const trainer = new Trainer({
  model,
  dataset,
  // Built-in ones by name, with their settings, and functions; metrics call a function by its own name.
  rewards: ["content", rewards.format(), energy, language],
  rewardWeights: [1, 0.5, 1, 0.5],
  outputDir,
  overwriteOutputDir: true,
  maxSteps: 4,
  promptsPerStep: 4,
  numGenerations: 4,
  maxCompletionLength: 48,
  learningRate: 2e-4,
  seed: 1,
});
try {
  for await (const { step, totalSteps, metrics, completions } of trainer.run()) {
    const [first] = completions;
    console.log(`step ${step} of ${totalSteps}: reward ${metrics.reward?.toFixed(3)}, e.g. ${first?.completion}`);
    console.log(`  its rewards: ${JSON.stringify(first?.rewards)}, advantage ${first?.advantage.toFixed(2)}`);
  }
  await trainer.save(join(outputDir, "model"));
  console.log(`saved to ${join(outputDir, "model")}: transformers, vLLM and this package load it`);
} finally {
  // Frees the engine and the weights. With TypeScript or Node 24: `await using trainer = new Trainer(…)`.
  await trainer.dispose();
}
