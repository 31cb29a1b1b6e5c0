import type { NativeGroup } from "./native-types.js";

// What of the native surface is about losses. Shape letters as in native-types.ts.

/** What a token's loss is and how losses are summed, by TRL's names; formulas are in `native/rl/grpo_loss.h`. */
export type GrpoLossKind = "grpo" | "bnpo" | "dr_grpo" | "dapo" | "cispo" | "sapo" | "luspo" | "vespo";

/** The numbers that a GRPO loss depends on, beside what it is computed of. */
export interface GrpoLossSettings {
  kind: GrpoLossKind;
  /** The ratio of new to old probability: of a token, or of a completion (the geometric mean of its tokens'). */
  importanceSampling: "token" | "sequence";
  epsilon: number;
  /** For cispo the largest ratio itself. */
  epsilonHigh: number;
  /** Upper bound of the ratio (two-sided clipping); Infinity: off. */
  delta: number;
  /** Weight of the k3 estimate of KL(policy ‖ reference); 0: no reference needed. */
  beta: number;
  /** Multiply the KL term by the ratio. */
  biasCorrectionKl: boolean;
  sapoTemperaturePos: number;
  sapoTemperatureNeg: number;
  vespoKPos: number;
  vespoLambdaPos: number;
  vespoKNeg: number;
  vespoLambdaNeg: number;
  /** A completion with an advantage below 0 and a mean of old − new above this is left out; Infinity: off. */
  offPolicyMaskThreshold: number;
  /** Weight of the entropy bonus; 0: none. */
  entropyCoef: number;
  /** Denominators of the whole optimizer update, over all micro-batches; tokens may be a fraction. */
  totalSequences: number;
  totalTokens: number;
  /** Of the entropy bonus: the tokens that it is a mean over. */
  totalEntropyTokens: number;
  maxCompletionLength: number;
}

export interface GrpoLossArgs extends GrpoLossSettings {
  temperature: number;
  /** Per group, per completion. */
  advantages: Float32Array[];
  /** Per group, per completion, per token. Empty arrays: on-policy, the ratio is 1 and carries the gradient. */
  oldLogProbs: Float32Array[][];
  /** Per group, per completion, per token; needed where beta > 0. */
  refLogProbs: Float32Array[][];
  /** Per group, per completion: 0 leaves a completion out of the loss. */
  mask: Uint8Array[];
  /** Per group, per completion, per token: 0 leaves a token out of all but the KL term. Empty: none is left out. */
  tokenMask: Uint8Array[][];
}

export interface SftLossArgs {
  kind: "sft";
  /** The loss is the sum of -log p over all completion tokens, divided by this. */
  totalTokens: number;
}

export interface AccumulateArgs {
  groups: NativeGroup[];
  loss: GrpoLossArgs | SftLossArgs;
  /** Names the adapter's dropout; unused where it has none. */
  dropoutSeed: number;
}

export interface AccumulateResult {
  /** This micro-batch's share of the loss, KL term and entropy bonus included. */
  loss: number;
  /** The same without the entropy bonus. */
  policyLoss: number;
  /** Sums over scored tokens; divide by `tokens` for means. */
  tokens: number;
  entropySum: number;
  klSum: number;
  clip: ClipSums;
  /** Per group, per completion, per token: log-probabilities of this forward. */
  logProbs: Float32Array[][];
}

export interface ComputeLossArgs {
  /** Per group, per completion, per token. */
  logProbs: Float32Array[][];
  /** The same; needed for the entropy bonus, else it may be empty. */
  entropies: Float32Array[][];
  loss: GrpoLossArgs | SftLossArgs;
}

export interface ComputeLossResult extends Omit<AccumulateResult, "logProbs"> {
  /** d loss / d log-probability. */
  gradient: Float32Array[][];
  /** d loss / d entropy; empty without an entropy bonus. */
  entropyGradient: Float32Array[][];
}

/** What bounds the step from the old policy did in a micro-batch. */
export interface ClipSums {
  /** Tokens that were looked at; with sequence importance sampling completions. 0 where a loss clips nothing. */
  count: number;
  /** Of these, those whose ratio left the range on the side where that stops (cispo: bounds) the gradient. */
  low: number;
  high: number;
  /** The least and the greatest share of one completion; Infinity and -Infinity where there is none. */
  lowMin: number;
  highMax: number;
  /** Completions in the loss, those that the off-policy mask left out, and for vespo the sum of their φ. */
  completions: number;
  offPolicy: number;
  phi: number;
}
