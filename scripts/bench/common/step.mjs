import { computeAdvantages, Engine, Processor } from "../../../dist/index.js";
import { lossSchema, lossSettings } from "../../../dist/losses/loss-options.js";
import { efficientBudget } from "../../../dist/trainer/micro-batch-budget.js";
import { groupTokens, packGroups } from "../../../dist/trainer/micro-batches.js";
import { UsageError } from "./options.mjs";

/** Words that stand where only a prompt's length matters: ordinary tokens of every preset's vocabulary. */
const FILLER = { first: 20, count: 200 };

/** Engine, processor and a trainable model for a workload. */
export async function openBench({ model: folder, threads }, { precision = "f32" } = {}) {
  const engine = await Engine.open({ device: "cpu", threads });
  // No cache: in a training run every picture is new once, and TRL processes them in every step.
  const processor = await Processor.load(folder, engine, { cacheBytes: 0 });
  const model = await engine.loadModel(folder, { train: "full", precision, gradientCheckpointing: false });
  return { engine, processor, model };
}

/** A picture and the question each; words before them where the workload says how many `tokens` a prompt has. */
export async function makePrompts({ processor }, { pictures, question, tokens = 0 }) {
  const messages = [{ role: "user", content: [{ type: "image" }, { type: "text", text: question }] }];
  const prompts = await Promise.all(pictures.map((picture) => processor.prompt(messages, [picture])));
  return tokens > 0 ? prompts.map((prompt) => lengthen(prompt, tokens)) : prompts;
}

function lengthen(prompt, length) {
  const missing = length - prompt.tokens.length;
  if (missing >= 0) return { ...prompt, tokens: Int32Array.from([...words(missing), ...prompt.tokens]) };
  throw new UsageError(
    `a prompt of ${length} tokens: picture and question alone take ${prompt.tokens.length}; use a smaller --picture`,
  );
}

/** A prompt as long as this one, without pictures. */
export const wordsOnly = ({ tokens }) => ({ tokens: Int32Array.from(words(tokens.length)), images: [] });

const words = (count) => Array.from({ length: count }, (_, i) => FILLER.first + ((i * 7) % FILLER.count));

/** Nothing ends a completion early: all have full length. */
export function fullLength({ completion }) {
  return { temperature: 1, maxNewTokens: completion, stopTokens: [] };
}

/**
 * Completions per group. `unshared`: every completion is a prompt of its own, as where nothing knows of groups, and
 * comes back as a group of one.
 */
export async function generate({ model }, workload, prompts, seed, { unshared = false } = {}) {
  const { generations } = workload;
  const sampling = fullLength(workload);
  const list = unshared ? prompts.flatMap((prompt) => Array(generations).fill(prompt)) : prompts;
  const results = await model.generate({ prompts: list, n: unshared ? 1 : generations, sampling, seed });
  return results.map((completions, i) => ({ prompt: list[i], completions: completions.map(({ tokens }) => tokens) }));
}

/** GRPO's loss as TRL's default has it: dapo, on-policy, no reference. */
export function lossOf({ rewards, generations, prompts, completion }, groups) {
  const values = Array.from({ length: prompts * generations }, (_, i) => [rewards[i % generations]]);
  const { advantages } = computeAdvantages(values, { numGenerations: generations, scaleRewards: "group" });
  const perGroup = advantages.length / groups.length;
  const totalTokens = prompts * generations * completion;
  const own = groups.map((_, i) => advantages.slice(i * perGroup, (i + 1) * perGroup));
  return {
    ...lossSettings(lossSchema.parse({ maxCompletionLength: completion })),
    temperature: 1,
    advantages: own,
    oldLogProbs: [],
    refLogProbs: [],
    mask: groups.map(({ completions }) => new Uint8Array(completions.length).fill(1)),
    tokenMask: [],
    totalSequences: prompts * generations,
    totalTokens,
    totalEntropyTokens: totalTokens,
  };
}

/** Forward and backward of all groups, in micro-batches as the trainer cuts them where there is memory enough. */
export async function train({ model }, workload, groups) {
  const loss = lossOf(workload, groups);
  const sums = { tokens: 0, entropySum: 0 };
  let first = 0;
  for (const part of packGroups(groups, efficientBudget(groups.map(groupTokens)), groupTokens)) {
    const own = (list) => list.slice(first, first + part.length);
    const { tokens, entropySum } = await model.accumulate({
      groups: part,
      loss: { ...loss, advantages: own(loss.advantages), mask: own(loss.mask) },
    });
    sums.tokens += tokens;
    sums.entropySum += entropySum;
    first += part.length;
  }
  return sums;
}

export function optimize({ model }, { learningRate, maxGradNorm }) {
  return model.step({ learningRate, maxGradNorm });
}

/** One whole GRPO step with the seconds of its phases. */
export async function grpoStep(bench, workload, seed, mode = {}) {
  const clock = new Clock();
  const prompts = await makePrompts(bench, workload);
  clock.lap("inputs");
  const groups = await generate(bench, workload, prompts, seed, mode);
  // The rewards would read the texts.
  for (const { completions } of groups) for (const tokens of completions) bench.processor.tokenizer.decode(tokens);
  clock.lap("generation");
  const { tokens, entropySum } = await train(bench, workload, groups);
  clock.lap("train");
  const { gradNorm } = await optimize(bench, workload);
  clock.lap("optimizer");
  const lengths = groups.flatMap(({ completions }) => completions.map(({ length }) => length));
  return {
    seconds: clock.laps,
    promptTokens: prompts[0].tokens.length,
    lengths,
    entropy: entropySum / tokens,
    gradNorm,
  };
}

export class Clock {
  constructor() {
    this.laps = {};
    this.last = performance.now();
  }

  lap(name) {
    const now = performance.now();
    this.laps[name] = (this.laps[name] ?? 0) + (now - this.last) / 1000;
    this.last = now;
  }
}
