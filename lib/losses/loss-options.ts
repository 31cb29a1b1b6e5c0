import { z } from "zod";
import { lossFields } from "../config/loss-fields.js";
import { optimizerFields } from "../config/optimizer-fields.js";
import { rolloutFields } from "../config/rollout-fields.js";
import type { GrpoLossSettings } from "../engine/index.js";

/** What a loss depends on; the trainer's own fields, with its defaults. */
const lossOptionFields = z.object(lossFields).pick({
  lossType: true,
  importanceSamplingLevel: true,
  beta: true,
  useBiasCorrectionKl: true,
  epsilon: true,
  epsilonHigh: true,
  delta: true,
  sapoTemperaturePos: true,
  sapoTemperatureNeg: true,
  vespoKPos: true,
  vespoLambdaPos: true,
  vespoKNeg: true,
  vespoLambdaNeg: true,
  offPolicyMaskThreshold: true,
  topEntropyQuantile: true,
  entropyCoef: true,
}).shape;

export const lossSchema = z.object({
  ...lossOptionFields,
  maxCompletionLength: rolloutFields.maxCompletionLength,
  numItemsInBatch: z
    .number()
    .min(0)
    .optional()
    .describe(
      "tokens of the steps_per_generation batches that were sampled at once, by which dapo, cispo and vespo divide " +
        "(default: as many in each as in this one)",
    ),
  gradientAccumulationSteps: optimizerFields.gradientAccumulationSteps,
  stepsPerGeneration: rolloutFields.stepsPerGeneration,
});

export type LossConfig = z.output<typeof lossSchema>;

/** What a ratio may be at most in cispo, where `epsilon_high` is that itself: epsilon would all but stop the training. */
const CISPO_EPSILON_HIGH = 5;

type Totals = "totalSequences" | "totalTokens" | "totalEntropyTokens";
type SettingsConfig = Omit<
  LossConfig,
  "topEntropyQuantile" | "numItemsInBatch" | "gradientAccumulationSteps" | "stepsPerGeneration"
>;

/** Options as the engine's loss takes them; the denominators are a batch's own. */
export function lossSettings(config: SettingsConfig): Omit<GrpoLossSettings, Totals> {
  const { epsilon, lossType, delta, offPolicyMaskThreshold } = config;
  const { epsilonHigh = lossType === "cispo" ? CISPO_EPSILON_HIGH : epsilon } = config;
  return {
    kind: lossType,
    importanceSampling: config.importanceSamplingLevel,
    epsilon,
    epsilonHigh,
    delta: delta ?? Number.POSITIVE_INFINITY,
    beta: config.beta,
    biasCorrectionKl: config.useBiasCorrectionKl,
    sapoTemperaturePos: config.sapoTemperaturePos,
    sapoTemperatureNeg: config.sapoTemperatureNeg,
    vespoKPos: config.vespoKPos,
    vespoLambdaPos: config.vespoLambdaPos,
    vespoKNeg: config.vespoKNeg,
    vespoLambdaNeg: config.vespoLambdaNeg,
    offPolicyMaskThreshold: offPolicyMaskThreshold ?? Number.POSITIVE_INFINITY,
    entropyCoef: config.entropyCoef,
    maxCompletionLength: config.maxCompletionLength,
  };
}
