import type { CallOptions, Engine } from "../engine/index.js";
import { batchPlan } from "./batch-plan.js";
import { type EstimatedConfig, type EstimatedRun, estimateMemory, type MemoryEstimate } from "./memory-estimate.js";

/** Options that make a run smaller, and what it then needs. */
export interface Advice {
  options: Partial<EstimatedConfig>;
  peak: number;
}

/** Groups beyond this are not searched for. */
export const LARGEST_GROUP = 512;
const SMALLEST_GROUP = 2;
/** What saves less is not worth saying. */
const WORTH_SAYING = 0.02;

/** Memory that this process can have: what it has and what the system (or its container) has left. */
export function memoryLimit(): number {
  return process.availableMemory() + process.memoryUsage().rss;
}

export interface GroupSearch {
  /** What a run needs with groups of this size. */
  peakOf(numGenerations: number): Promise<number>;
  /** Bytes that it may need. */
  limit: number;
  /** Of the longest prompt. */
  promptTokens: number;
  config: Pick<
    EstimatedConfig,
    "maxCompletionLength" | "maxTokensPerMicrobatch" | "promptsPerStep" | "gradientAccumulationSteps"
  >;
}

/**
 * The largest `num_generations` that needs at most `limit` bytes; undefined where none does. Memory grows with the
 * group, but falls where it has grown so much that one group less goes into a micro-batch: so those sizes that go into
 * micro-batches alike are searched together, the largest first.
 */
export async function largestGroup(search: GroupSearch): Promise<number | undefined> {
  const { promptTokens, config } = search;
  const { maxCompletionLength, maxTokensPerMicrobatch } = config;
  const { promptsPerUpdate } = batchPlan(config);
  let end = LARGEST_GROUP;
  for (let together = 1; together <= promptsPerUpdate && end >= SMALLEST_GROUP; together += 1) {
    const tooLarge = (maxTokensPerMicrobatch / (together + 1) - promptTokens) / maxCompletionLength;
    const least = together === promptsPerUpdate ? SMALLEST_GROUP : Math.max(SMALLEST_GROUP, Math.floor(tooLarge) + 1);
    if (least > end) continue;
    const found = await largestBetween(search, least, end);
    if (found !== undefined) return found;
    end = least - 1;
  }
  return undefined;
}

/** Doubles before it halves: large groups take long to estimate. */
async function largestBetween(
  { peakOf, limit }: GroupSearch,
  least: number,
  most: number,
): Promise<number | undefined> {
  if ((await peakOf(least)) > limit) return undefined;
  let [fits, fails] = [least, most + 1];
  while (fails - fits > 1) {
    const next = Math.min(2 * fits, Math.floor((fits + fails) / 2));
    if ((await peakOf(next)) <= limit) fits = next;
    else fails = next;
  }
  return fits;
}

/**
 * What would make a run smaller, one change at a time, then all of them: each is estimated as the run is. Changes that
 * leave the numbers of the training as they are come first.
 */
export async function adviseOn(
  engine: Engine,
  run: EstimatedRun,
  config: EstimatedConfig,
  estimate: MemoryEstimate,
  options: CallOptions = {},
): Promise<Advice[]> {
  const advice: Advice[] = [];
  for (const change of changes(run, config, estimate)) {
    const { peak } = await estimateMemory(engine, run, { ...config, ...change }, options);
    if (peak < (1 - WORTH_SAYING) * estimate.peak) advice.push({ options: change, peak });
  }
  if (advice.length < 2) return advice;
  const all = Object.assign({}, ...advice.map((one) => one.options)) as Partial<EstimatedConfig>;
  // Weights that are not trained need not be frozen, have no optimizer, and are the reference themselves.
  if (all.usePeft === true) {
    delete all.freezeVisionModules;
    delete all.optim;
    delete all.refPrecision;
    delete all.stochasticRounding;
    if (config.stochasticRounding) all.stochasticRounding = false;
  }
  const { peak } = await estimateMemory(engine, run, { ...config, ...all }, options);
  return [...advice, { options: all, peak }];
}

/** A group is never cut: smaller micro-batches than the largest one save nothing. */
function changes(
  { description, limits }: EstimatedRun,
  config: EstimatedConfig,
  { prompts, trainable }: MemoryEstimate,
): Partial<EstimatedConfig>[] {
  const longest = Math.max(...prompts.map(({ tokens }) => tokens));
  const group = longest + config.numGenerations * config.maxCompletionLength;
  const full = trainable.train === "full" && isPlain(config);
  const { patchSize } = description.info;
  const pixels = Math.max(0, ...prompts.flatMap(({ grids }) => grids.map(([, h, w]) => h * w * patchSize ** 2)));
  const fewerPixels = Math.max(config.minPixels ?? limits.minPixels, Math.ceil(pixels / 2));
  const copyPrecision = config.refPrecision === "auto" ? config.precision : config.refPrecision;
  const largeCopy = trainable.train === "full" && config.beta > 0 && copyPrecision !== "bf16";
  const half = (value: number) => Math.ceil(value / 2);
  const { promptsPerRollout, updatesPerRollout } = batchPlan(config);
  const completions = config.numGenerations * promptsPerRollout;
  const { gradientAccumulationSteps: accumulation, stepsPerGeneration } = config;
  const atOnce = config.maxNumSeqs === 0 ? completions : Math.min(config.maxNumSeqs, completions);
  const list: (Partial<EstimatedConfig> | false)[] = [
    !config.gradientCheckpointing && { gradientCheckpointing: true },
    group < config.maxTokensPerMicrobatch && { maxTokensPerMicrobatch: group },
    { maxNumSeqs: half(atOnce) },
    full && !config.freezeVisionModules && { freezeVisionModules: true },
    full && { usePeft: true, ...(config.stochasticRounding && { stochasticRounding: false }) },
    config.precision !== "bf16" && { precision: "bf16" },
    trainable.train === "full" && !config.stochasticRounding && { precision: "bf16", stochasticRounding: true },
    config.optim !== "adamw_8bit" && { optim: "adamw_8bit" },
    largeCopy && { refPrecision: "bf16" },
    updatesPerRollout > 1 && { stepsPerGeneration: accumulation },
    config.promptsPerStep > 1 && { promptsPerStep: half(config.promptsPerStep) },
    config.promptsPerStep === 1 &&
      stepsPerGeneration === undefined &&
      accumulation > 1 && { gradientAccumulationSteps: half(accumulation) },
    pixels > fewerPixels && { maxPixels: fewerPixels },
    config.maxCompletionLength > 1 && { maxCompletionLength: half(config.maxCompletionLength) },
  ];
  return list.filter((change) => change !== false);
}

/** Whether parts of the model can be frozen, or an adapter trained, without undoing what was asked for. */
function isPlain({ freezeMerger, freezePatterns, trainablePatterns, usePeft }: EstimatedConfig): boolean {
  return [freezeMerger, freezePatterns, trainablePatterns, usePeft].every((field) => field === undefined);
}
