import { z } from "zod";
import { underHeading } from "./headings.js";

const weight = (value: number, description: string) => z.number().gt(0).default(value).describe(description);

/** What is optimised. Names and defaults are those of TRL's `GRPOConfig`. */
export const lossFields = underHeading("Loss", {
  lossType: z
    .enum(["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"])
    .default("dapo")
    .describe("what a token's loss is, and how the losses are averaged"),
  importanceSamplingLevel: z
    .enum(["token", "sequence"])
    .default("token")
    .describe("ratio of new to old probability by token, or by completion (sequence: GSPO)"),
  beta: z.number().min(0).default(0).describe("weight of the KL term; 0: no reference model (VLM-R1 uses 0.04)"),
  useBiasCorrectionKl: z
    .boolean()
    .default(true)
    .describe("multiply the KL term by the ratio, which makes its gradient unbiased"),
  epsilon: z.number().min(0).default(0.2).describe("lower clipping range of the ratio"),
  epsilonHigh: z
    .number()
    .min(0)
    .optional()
    .describe("upper clipping range (default: epsilon); cispo: the largest ratio itself (default: 5)"),
  delta: z.number().gt(0).optional().describe("upper bound of the ratio, for two-sided clipping (default: none)"),
  sapoTemperaturePos: weight(1, "sapo: temperature of completions with a positive advantage"),
  sapoTemperatureNeg: weight(1.05, "sapo: temperature of the others"),
  vespoKPos: weight(2, "vespo: k of completions with an advantage of at least 0"),
  vespoLambdaPos: weight(3, "vespo: λ of completions with an advantage of at least 0"),
  vespoKNeg: weight(3, "vespo: k of the others"),
  vespoLambdaNeg: weight(2, "vespo: λ of the others"),
  numIterations: z.int().min(1).default(1).describe("times that an optimizer update is made of each rollout"),
  scaleRewards: z.enum(["group", "batch", "none"]).default("group").describe("what advantages are divided by"),
  multiObjectiveAggregation: z
    .enum(["sum_then_normalize", "normalize_then_sum"])
    .default("sum_then_normalize")
    .describe("several rewards: sum them and compare, or compare each by itself and sum (GDPO)"),
  maskTruncatedCompletions: z.boolean().default(false).describe("leave completions that never ended out of the loss"),
  offPolicyMaskThreshold: z
    .number()
    .gt(0)
    .optional()
    .describe(
      "leave out bad completions that the policy has moved away from by more than this (KL per token; e.g. 0.5)",
    ),
  topEntropyQuantile: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("learn from this share of the tokens alone, those of highest entropy (0.2 is usual); one pass more"),
  entropyCoef: z.number().min(0).default(0).describe("weight of the entropy bonus, which keeps the policy exploring"),
  useAdaptiveEntropy: z
    .boolean()
    .default(false)
    .describe("raise entropy_coef while the entropy is at most entropy_target, and lower it above"),
  entropyCoefMin: z.number().min(0).default(0).describe("adaptive entropy: least entropy_coef"),
  entropyCoefMax: z.number().min(0).default(1).describe("adaptive entropy: greatest entropy_coef"),
  entropyCoefDelta: z.number().min(0).default(0.005).describe("adaptive entropy: change of entropy_coef per update"),
  entropyTarget: z.number().min(0).default(0.2).describe("adaptive entropy: entropy per token to hold, in nats"),
  refPrecision: z
    .enum(["auto", "f32", "bf16"])
    .default("auto")
    .describe("type of a reference that is a copy of the model; auto: as precision (bf16: half the memory)"),
  syncRefModel: z
    .boolean()
    .default(false)
    .describe(
      "let the reference follow the policy: every ref_model_sync_steps, reference = α·policy + (1 − α)·reference",
    ),
  refModelMixupAlpha: z.number().min(0).max(1).default(0.6).describe("α of sync_ref_model"),
  refModelSyncSteps: z.int().min(1).default(512).describe("steps between two syncs of sync_ref_model"),
  logCompletions: z.boolean().default(true).describe("write completions.jsonl"),
});
