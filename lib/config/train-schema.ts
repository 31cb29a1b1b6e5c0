import { z } from "zod";
import { modelFields } from "./common.js";
import { dataFields } from "./data-fields.js";
import { evaluationFields } from "./evaluation-fields.js";
import { lossFields } from "./loss-fields.js";
import { learningRateField, optimizerFields } from "./optimizer-fields.js";
import { hasWeightPerReward, rewardFields, WEIGHT_PER_REWARD } from "./reward-fields.js";
import { rolloutFields } from "./rollout-fields.js";
import { runFields } from "./run-fields.js";
import { trainableFields } from "./trainable-fields.js";

/**
 * The fields of training runs: config files, flags and `Trainer` options alike. Names and defaults are those of TRL's
 * `GRPOConfig` and `SFTConfig` and of VLM-R1 where these have the field; exceptions say so.
 */

/** GRPO: `vlmr1-native train`, `new Trainer({…})`. */
export const grpoSchema = z
  .object({
    ...modelFields,
    ...dataFields,
    ...runFields,
    ...evaluationFields,
    ...learningRateField(1e-6),
    ...trainableFields,
    ...optimizerFields,
    ...rolloutFields,
    ...rewardFields,
    ...lossFields,
  })
  .refine(hasWeightPerReward, WEIGHT_PER_REWARD);

/** Supervised fine-tuning: `vlmr1-native sft`, `new Trainer({ objective: "sft", … })`. */
export const sftSchema = z
  .object({
    ...modelFields,
    ...dataFields,
    ...runFields,
    ...evaluationFields,
    ...learningRateField(2e-5),
    ...trainableFields,
    ...optimizerFields,
    maxCompletionLength: rolloutFields.maxCompletionLength,
    ...rewardFields,
  })
  .refine(hasWeightPerReward, WEIGHT_PER_REWARD);

export type GrpoConfig = z.output<typeof grpoSchema>;
export type SftConfig = z.output<typeof sftSchema>;
export type GrpoInput = z.input<typeof grpoSchema>;
export type SftInput = z.input<typeof sftSchema>;

/** What both kinds of run have. */
export type RunConfig = SftConfig;
