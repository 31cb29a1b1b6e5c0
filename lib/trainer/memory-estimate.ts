import { loraArgs } from "../adapters/index.js";
import type { GrpoConfig } from "../config/train-schema.js";
import type { CallOptions, Engine, MemoryUse, NativeEstimate } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { rowsPerCall } from "../eval/index.js";
import type { PromptSize } from "../processing/index.js";
import { batchPlan } from "./batch-plan.js";
import type { EstimatedModel } from "./estimated-model.js";
import { packGroups, updatesOf } from "./micro-batches.js";
import { longestPrompts, type PromptShape, shapeOf } from "./prompt-sizes.js";
import { resolveTrainable, type Trainable, type TrainableConfig } from "./trainable.js";

/** The fields of a run's configuration that its memory depends on. */
export type EstimatedConfig = TrainableConfig & { maxTokensPerMicrobatch: number } & Pick<
    GrpoConfig,
    | "precision"
    | "gradientCheckpointing"
    | "numGenerations"
    | "maxCompletionLength"
    | "promptsPerStep"
    | "gradientAccumulationSteps"
    | "beta"
    | "minPixels"
    | "maxPixels"
    | "maxPromptLength"
    | "evalDataset"
    | "valSplitRatio"
    | "evalBatchSize"
    | "maxNumSeqs"
    | "optim"
    | "stochasticRounding"
    | "refPrecision"
    | "syncRefModel"
  > &
  Partial<Pick<GrpoConfig, "stepsPerGeneration">>;

/** All that an estimate needs and a configuration does not say. */
export interface EstimatedRun extends EstimatedModel {
  prompts: readonly PromptSize[];
  /** Rows of the data set; undefined where pictures are ever new. */
  rows: number | undefined;
  /** What Node, its libraries and this program take beside the engine's tensors. */
  processBytes: number;
}

export type PhaseName = NativeEstimate["phases"][number]["name"];

export interface PhaseEstimate {
  name: PhaseName;
  use: MemoryUse;
  /** All of `use`. */
  total: number;
}

/** Bytes. The peak is the largest phase, what the engine keeps for reuse, and the process around it. */
export interface MemoryEstimate {
  device: string;
  parameters: number;
  trainableParameters: number;
  trainable: Trainable;
  /** Of one step, which are those of a rollout. */
  prompts: PromptShape[];
  /** Of one step, updated with all of its prompts once. */
  microBatches: number;
  /** Optimizer updates that are made of different prompts of a rollout. */
  updatesPerRollout: number;
  phases: PhaseEstimate[];
  largestPhase: PhaseName;
  kept: number;
  process: number;
  peak: number;
}

/** What is kept of more pictures than these steps have is little beside the rest. */
const MOST_EARLIER_STEPS = 200;

/**
 * What a GRPO run needs of memory at most: every step gets the longest prompts, and every completion has full length.
 * The engine runs the steps without computing anything, so this is what they allocate, and not a formula.
 */
export async function estimateMemory(
  engine: Engine,
  run: EstimatedRun,
  config: EstimatedConfig,
  options: CallOptions = {},
): Promise<MemoryEstimate> {
  const { description, adapter, modelConfig, storedDtype } = run;
  const trainable = resolveTrainable(config, description, adapter);
  const prompts = promptsOf(run, config);
  const { numGenerations, maxCompletionLength } = config;
  const { promptsPerUpdate, updatesPerRollout } = batchPlan(config);
  const keepStart = config.beta > 0 && adapter !== undefined;
  const sizes = prompts.map((prompt) => groupSize(prompt, config));
  const tokensOf = (index: number) => sizes[index] ?? 0;
  const microBatches = updatesOf([...prompts.keys()], promptsPerUpdate).flatMap((update) =>
    packGroups(update, config.maxTokensPerMicrobatch, tokensOf),
  );
  const native = await engine.estimate(
    {
      config: modelConfig,
      storedDtype,
      precision: config.precision,
      train: trainable.train,
      frozen: trainable.train === "full" ? trainable.frozen : [],
      lora: trainable.train === "lora" ? loraArgs(trainable.adapter, { weights: "", seed: 0, keepStart }) : null,
      gradientCheckpointing: config.gradientCheckpointing,
      noDecay: [],
      moments: config.optim === "adamw_8bit" ? "int8" : "f32",
      stochasticRounding: config.stochasticRounding,
      writable: false,
      prompts,
      completions: numGenerations,
      maxNewTokens: maxCompletionLength,
      microBatches,
      reference: config.beta === 0 ? "none" : trainable.train === "lora" ? "same" : "copy",
      referencePrecision: config.refPrecision === "auto" ? config.precision : config.refPrecision,
      referenceWritable: config.syncRefModel,
      earlierSteps: Math.min(
        MOST_EARLIER_STEPS,
        Math.ceil((run.rows ?? Number.POSITIVE_INFINITY) / prompts.length) - 1,
      ),
      maxRows: config.maxNumSeqs,
      evaluated: config.evalDataset === undefined && config.valSplitRatio === 0 ? 0 : rowsPerCall(config.evalBatchSize),
      evaluatedRows: config.evalBatchSize,
    },
    options,
  );
  const counts = { microBatches: microBatches.length, updatesPerRollout };
  return { ...summaryOf(native, run.processBytes), trainable, prompts, ...counts };
}

/** What the prompts and completions of a step depend on. */
type StepConfig = Pick<
  EstimatedConfig,
  | "minPixels"
  | "maxPixels"
  | "promptsPerStep"
  | "gradientAccumulationSteps"
  | "stepsPerGeneration"
  | "numGenerations"
  | "maxCompletionLength"
  | "maxPromptLength"
>;

/** Packed tokens of the groups of the largest step. */
export function groupSizes(run: EstimatedRun, config: StepConfig): number[] {
  return promptsOf(run, config).map((prompt) => groupSize(prompt, config));
}

function groupSize({ tokens }: PromptShape, { numGenerations, maxCompletionLength }: StepConfig): number {
  return tokens + numGenerations * maxCompletionLength;
}

function promptsOf({ description, limits, prompts }: EstimatedRun, config: StepConfig): PromptShape[] {
  const { info } = description;
  const { minPixels = limits.minPixels, maxPixels = limits.maxPixels, maxCompletionLength } = config;
  const shapes = prompts.map((size) => shapeOf(size, info, { minPixels, maxPixels }));
  const room = info.maxPositionEmbeddings - maxCompletionLength;
  const allowed = config.maxPromptLength ?? room;
  if (shapes.length === 0) throw new VlmR1Error("ERR_DATA", "none of the rows that were looked at can be used");
  const longest = longestPrompts(shapes, batchPlan(config).promptsPerRollout, Math.min(room, allowed));
  if (longest.length > 0) return longest;
  const tokens = Math.min(...shapes.map((shape) => shape.tokens));
  const got = `${tokens} tokens in the shortest`;
  if (allowed < room) {
    throw new VlmR1Error("ERR_DATA", `max_prompt_length takes prompts of at most ${allowed} tokens, got ${got}`);
  }
  throw new VlmR1Error(
    "ERR_DATA",
    `with ${maxCompletionLength} tokens of a completion the model has room for prompts of ${room}, got ${got}`,
  );
}

/**
 * A step's pictures lie in the process several times: as JavaScript has them, with those of the next step, which are
 * read ahead; copied for the engine; and in the order in which it reads them.
 */
const PICTURE_COPIES = 4;

function summaryOf({ device, info, phases, pictureBytes }: NativeEstimate, processBytes: number) {
  const totals = phases.map(({ name, use }) => ({ name, use, total: sum(Object.values(use)) }));
  const largest = totals.reduce((a, b) => (b.total > a.total ? b : a));
  const held = Math.max(...phases.map((phase) => phase.held));
  const around = processBytes + PICTURE_COPIES * pictureBytes;
  return {
    device,
    parameters: info.parameters,
    trainableParameters: info.trainableParameters,
    phases: totals,
    largestPhase: largest.name,
    kept: held - largest.total,
    process: around,
    peak: held + around,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
