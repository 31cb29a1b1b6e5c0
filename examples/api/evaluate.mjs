// @ts-check
// Evaluates while it trains, keeps the best checkpoint, stops when nothing gets better, and ends with the best weights.
//   node examples/api/evaluate.mjs [folder of the run]

import { join } from "node:path";
import { loadConversations, packageRoot, Trainer } from "vlmr1-native";

const food = join(packageRoot(), "examples", "food");
const outputDir = process.argv[2] ?? "runs/api-evaluate";

// Held-out rows: a file's name would do, this takes every sixteenth of one. `valSplitRatio: 0.1` holds out a part of
// the training rows.
const { rows } = await loadConversations(join(food, "test-quick.json"));
const heldOut = rows.filter((_, index) => index % 16 === 0);

const trainer = new Trainer({
  model: join(food, "starter"),
  dataset: join(food, "train-quick.json"),
  evalDataset: heldOut,
  evalSteps: 1,
  // Metrics have TRL's names with eval_ in front: eval_reward, eval_rewards/content/mean, eval_completions/mean_length …
  metricForBestModel: "eval_reward",
  earlyStoppingPatience: 2,
  earlyStoppingThreshold: 0.001,
  loadBestModelAtEnd: true,
  outputDir,
  overwriteOutputDir: true,
  maxSteps: 12,
  promptsPerStep: 4,
  numGenerations: 4,
  maxCompletionLength: 48,
  // High for so few rows: it soon gets worse, and this example has something to stop.
  learningRate: 5e-4,
  seed: 1,
});
trainer.on("eval", ({ step, metrics, best }) => {
  console.log(`evaluation after step ${step}: ${metrics.eval_reward?.toFixed(3)}${best ? ", the best so far" : ""}`);
});
trainer.on("end", ({ status, step, reason }) => console.log(`${status} after step ${step}: ${reason}`));

try {
  // Also told to the listener, as step 0.
  await trainer.evaluate();
  for await (const _step of trainer.run());
  const after = await trainer.evaluate();
  const best = (await trainer.state())?.best;
  console.log(`the weights are those of step ${best?.step}: ${after.scores.reward.toFixed(3)}`);
  for (const { row, completion, reward } of after.answers.slice(0, 3)) {
    console.log(`  ${row.id}: ${completion} (reward ${reward})`);
  }
} finally {
  await trainer.dispose();
}
