// @ts-check
// Trains a LoRA adapter with the model itself as the reference, saves it in PEFT's format and merged, and asks it.
//   node examples/api/lora.mjs [folder of the run]

import { join } from "node:path";
import { loadConversations, packageRoot, Trainer } from "vlmr1-native";

const food = join(packageRoot(), "examples", "food");
const outputDir = process.argv[2] ?? "runs/api-lora";
const dataset = join(food, "train-quick.json");

const trainer = new Trainer({
  model: join(food, "starter"),
  dataset,
  outputDir,
  overwriteOutputDir: true,
  usePeft: true,
  loraR: 8,
  loraAlpha: 16,
  // The reference is the model with its adapter switched off: no second copy of the weights.
  beta: 0.04,
  maxSteps: 3,
  promptsPerStep: 4,
  numGenerations: 4,
  maxCompletionLength: 48,
  learningRate: 1e-3,
  seed: 1,
});
const adapter = join(outputDir, "adapter");
const merged = join(outputDir, "merged");
trainer.on("start", ({ parameters, trainableParameters }) => {
  console.log(`${trainableParameters} of ${parameters} parameters are trained`);
});
try {
  for await (const { step, metrics } of trainer.run()) {
    console.log(`step ${step}: reward ${metrics.reward?.toFixed(3)}, kl ${metrics.kl?.toFixed(5)}`);
  }
  await trainer.save(adapter);
  await trainer.save(merged, { merged: true });
  console.log(`saved ${adapter} and ${merged}`);
} finally {
  await trainer.dispose();
}

// Both load wherever a model is named; an adapter finds its model by itself.
const { rows } = await loadConversations(join(food, "test-quick.json"));
for (const model of [adapter, merged]) {
  const asked = new Trainer({ model, dataset, evalDataset: rows.slice(0, 1), outputDir: `${model}-asked` });
  try {
    const { answers } = await asked.evaluate();
    console.log(`${model}: ${answers[0]?.completion}`);
  } finally {
    await asked.dispose();
  }
}
