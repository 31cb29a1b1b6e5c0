import { toSnake } from "../config/names.js";
import { show } from "../config/parse.js";
import { grpoSchema, sftSchema } from "../config/train-schema.js";
import type { RunPlan } from "./options.js";

/**
 * Options that no bit of the weights depends on, or that are compared in their own ways (model, data, the budget of a
 * micro-batch). All others are in a checkpoint, and a change of them is told.
 */
const NEUTRAL: ReadonlySet<string> = new Set([
  ...["model", "revision", "adapter", "device", "threads", "isa"],
  ...["dataset", "imageFolders", "evalDataset", "evalImageFolders"],
  ...["outputDir", "overwriteOutputDir", "resume", "maxSteps", "numTrainEpochs", "loggingSteps", "reportTo", "runName"],
  ...["dashboard", "dashboardHost"],
  ...["report", "profile", "profileSteps", "saveSteps", "saveTotalLimit", "saveModelTo", "saveMergedTo", "saveDtype"],
  ...["maxShardSize", "logCompletions", "gradientCheckpointing", "maxTokensPerMicrobatch", "maxNumSeqs"],
  ...["rewardTimeout", "rewardConcurrency", "rewardRetries"],
  ...["evalSteps", "evalBatchSize", "evalTemperature", "numGenerationsEval", "metricForBestModel", "greaterIsBetter"],
  ...["loadBestModelAtEnd", "earlyStoppingPatience", "earlyStoppingThreshold"],
]);

/** What a run must share with its beginning, or its weights or its place in the data mean something else. */
const SAME: readonly string[] = [
  ...["seed", "promptsPerStep", "gradientAccumulationSteps", "stepsPerGeneration", "numIterations"],
  ...["dynamicSampling", "shuffleDataset", "datasetWeights", "curriculum", "valSplitRatio"],
  ...["optim", "stochasticRounding", "syncRefModel"],
];

/**
 * The options of a checkpoint, as JSON has them: null where nothing was given, so that what a later version adds can be
 * told from it. A default that is another option's value is written out.
 */
export function optionsOfState({ objective, config }: RunPlan): Record<string, unknown> {
  const values: Readonly<Record<string, unknown>> = {
    ...config,
    ...(objective === "grpo" && { stepsPerGeneration: config.stepsPerGeneration ?? config.gradientAccumulationSteps }),
  };
  const { shape } = objective === "grpo" ? grpoSchema : sftSchema;
  const names = Object.keys(shape).filter((name) => !NEUTRAL.has(name));
  return JSON.parse(JSON.stringify(Object.fromEntries(names.map((name) => [name, values[name] ?? null]))));
}

export interface ChangedOptions {
  /** "seed 3, now 4": the run cannot go on so. */
  refused: string[];
  /** It can, with other bits than it would have had. */
  told: string[];
}

/** What has another value now; what one side does not know, as of another version, is left out. */
export function changedOptions(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): ChangedOptions {
  const changed: ChangedOptions = { refused: [], told: [] };
  for (const [name, value] of Object.entries(before)) {
    if (!(name in now) || JSON.stringify(value) === JSON.stringify(now[name])) continue;
    const list = SAME.includes(name) ? changed.refused : changed.told;
    list.push(`${toSnake(name)} ${text(value)}, now ${text(now[name])}`);
  }
  return changed;
}

function text(value: unknown): string {
  return value === null ? "(none)" : show(value);
}
