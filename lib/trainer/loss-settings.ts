import type { GrpoConfig } from "../config/train-schema.js";
import type { GrpoLossSettings } from "../engine/index.js";

type Totals = "totalSequences" | "totalTokens" | "totalEntropyTokens";

/** What a ratio may be at most in cispo, where `epsilon_high` is that itself: epsilon would all but stop the training. */
const CISPO_EPSILON_HIGH = 5;

/** A run's options as the engine's loss takes them; the denominators are a step's own. */
export function lossSettings(config: GrpoConfig): Omit<GrpoLossSettings, Totals> {
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
