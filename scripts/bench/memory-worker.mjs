// Runs the training steps that memory.mjs describes, in a process of their own, and prints what they took.
import { readFileSync } from "node:fs";
import { loraArgs } from "../../dist/adapters/index.js";
import { parseConfig } from "../../dist/config/index.js";
import { grpoSchema } from "../../dist/config/train-schema.js";
import { Engine } from "../../dist/index.js";
import { lossSettings } from "../../dist/losses/index.js";
import { estimatedModel } from "../../dist/trainer/estimated-model.js";
import { estimateMemory } from "../../dist/trainer/memory-estimate.js";
import { packGroups } from "../../dist/trainer/micro-batches.js";
import { resolveTrainable } from "../../dist/trainer/trainable.js";

const STEPS = 2;

const spec = JSON.parse(process.argv[2]);
console.log(JSON.stringify(spec.cli === undefined ? await run(spec) : await command(spec.cli)));

function peakOfProcess() {
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
  return kilobytes * 1024;
}

async function command(args) {
  const { runProgram } = await import("../../dist/cli/program.js");
  let said = "";
  const quiet = {
    write: (text) => {
      said += text;
      return true;
    },
  };
  const signal = new AbortController().signal;
  const code = await runProgram(args, { version: "", signal, stdout: quiet, stderr: quiet, env: process.env });
  if (code !== 0) throw new Error(`${args[0]} ended with ${code}:\n${said}`);
  return { measured: peakOfProcess() };
}

async function run({ directory, prompts: sizes, config: given }) {
  const config = parseConfig(grpoSchema, { model: directory, dataset: "none", ...given });
  const engine = await Engine.open({ device: "cpu" });
  try {
    const found = await estimatedModel(engine, { directory });
    const processBytes = process.memoryUsage().rss;
    const estimate = await estimateMemory(
      engine,
      { ...found, prompts: sizes, rows: config.promptsPerStep * STEPS, processBytes },
      config,
    );
    const model = await load(engine, directory, config, found.description);
    for (let step = 0; step < STEPS; step += 1)
      await train(model, makePrompts(estimate, found.description.info, step), config, step);
    const { held } = engine.memory();
    const estimatedHeld = estimate.peak - estimate.process;
    return { estimate: estimate.peak, measured: peakOfProcess(), estimatedHeld, held };
  } finally {
    engine.dispose();
  }
}

async function load(engine, directory, config, description) {
  const trainable = resolveTrainable(config, description, undefined);
  const { precision, gradientCheckpointing, stochasticRounding } = config;
  const moments = config.optim === "adamw_8bit" ? "int8" : "f32";
  const lora = trainable.train === "lora" ? loraArgs(trainable.adapter, { weights: "", seed: 0 }) : null;
  const frozen = trainable.frozen ?? [];
  const { train } = trainable;
  const optimizer = { moments, stochasticRounding };
  return engine.loadModel(directory, { precision, gradientCheckpointing, train, lora, frozen, ...optimizer });
}

/** Of the estimate's shapes: pictures of waves, and words that mean nothing. */
function makePrompts({ prompts }, { imageTokenId, mergeSize, patchSize, temporalPatchSize }, step) {
  const row = 3 * temporalPatchSize * patchSize ** 2;
  return prompts.map(({ tokens, grids }, index) => {
    const images = grids.map((grid) => {
      const pixelValues = new Float32Array(grid[0] * grid[1] * grid[2] * row);
      for (let i = 0; i < pixelValues.length; i += 1) pixelValues[i] = Math.sin(i * 0.37 + index + 100 * step) * 1.5;
      return { pixelValues, grid };
    });
    const pads = grids.reduce((sum, [t, h, w]) => sum + (t * h * w) / mergeSize ** 2, 0);
    const ids = Int32Array.from({ length: tokens }, (_, i) =>
      i < tokens - pads ? 20 + ((i * 7) % 200) : imageTokenId,
    );
    return { tokens: ids, images };
  });
}

async function train(model, prompts, config, seed) {
  const { numGenerations: n, maxCompletionLength, maxTokensPerMicrobatch, beta, learningRate } = config;
  const sampling = { maxNewTokens: maxCompletionLength, stopTokens: [] };
  const drawn = await model.generate({ prompts, n, sampling, seed });
  const all = prompts.map((prompt, i) => ({ prompt, completions: drawn[i].map(({ tokens }) => tokens) }));
  const size = ({ prompt }) => prompt.tokens.length + n * maxCompletionLength;
  const batches = packGroups(all, maxTokensPerMicrobatch, size);
  const references = [];
  for (const groups of beta > 0 ? batches : []) references.push(await model.logProbs({ groups, adapter: "off" }));
  for (const [index, groups] of batches.entries()) {
    await model.accumulate({ groups, loss: lossOf(groups, references[index], config, prompts.length) });
  }
  await model.step({ learningRate });
}

function lossOf(groups, reference, config, prompts) {
  const { numGenerations: n, maxCompletionLength } = config;
  const totalTokens = prompts * n * maxCompletionLength;
  return {
    ...lossSettings(config),
    temperature: 1,
    advantages: groups.map(() => Float32Array.from({ length: n }, (_, i) => (i % 2 === 0 ? 1 : -1))),
    oldLogProbs: [],
    refLogProbs: (reference ?? []).map((group) => group.map(({ logProbs }) => logProbs)),
    mask: [],
    tokenMask: [],
    totalSequences: prompts * n,
    totalTokens,
    totalEntropyTokens: totalTokens,
  };
}
