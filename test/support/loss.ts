import type { ClipSums, GrpoLossArgs } from "../../lib/engine/native-loss-types.js";
import type { StepArgs } from "../../lib/engine/native-types.js";

/** Loss arguments as the options' defaults make them, with the numbers that a test cares about. */
export function lossArgs(more: Partial<GrpoLossArgs> & Pick<GrpoLossArgs, "advantages">): GrpoLossArgs {
  return {
    kind: "dapo",
    temperature: 1,
    importanceSampling: "token",
    epsilon: 0.2,
    epsilonHigh: 0.2,
    delta: Number.POSITIVE_INFINITY,
    beta: 0,
    biasCorrectionKl: true,
    sapoTemperaturePos: 1,
    sapoTemperatureNeg: 1.05,
    vespoKPos: 2,
    vespoLambdaPos: 3,
    vespoKNeg: 3,
    vespoLambdaNeg: 2,
    offPolicyMaskThreshold: Number.POSITIVE_INFINITY,
    entropyCoef: 0,
    oldLogProbs: [],
    refLogProbs: [],
    mask: [],
    tokenMask: [],
    totalSequences: 1,
    totalTokens: 1,
    totalEntropyTokens: 1,
    maxCompletionLength: 1,
    ...more,
  };
}

/** Sums of a micro-batch in which nothing was clipped. */
export const NOTHING_CLIPPED: ClipSums = {
  ...{ count: 0, low: 0, high: 0, lowMin: Number.POSITIVE_INFINITY, highMax: Number.NEGATIVE_INFINITY },
  ...{ completions: 0, offPolicy: 0, phi: 0 },
};

/** An update with one learning rate for all parts. */
export function stepArgs(learningRate: number, more: Partial<StepArgs> = {}): StepArgs {
  return {
    learningRate: { vision: learningRate, merger: learningRate, language: learningRate },
    ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1, seed: 0 },
    ...more,
  };
}
