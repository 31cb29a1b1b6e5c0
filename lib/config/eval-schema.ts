import { z } from "zod";

import { modelFields, profileField, seedField } from "./common.js";
import { dataFields } from "./data-fields.js";
import { evaluationFields } from "./evaluation-fields.js";
import { hasWeightPerReward, rewardFields, WEIGHT_PER_REWARD } from "./reward-fields.js";
import { rolloutFields } from "./rollout-fields.js";

const { imageFolders, promptSuffix } = dataFields;
const { evalBatchSize, evalTemperature, numGenerationsEval } = evaluationFields;

/** `vlmr1-native eval`: what it shares with the evaluations of a run has the same names and defaults. */
export const evalSchema = z
  .object({
    ...modelFields,
    dataset: dataFields.dataset.meta({
      ...dataFields.dataset.meta(),
      aliases: ["data", "evalDataset", "dataFilePaths"],
    }),
    imageFolders,
    promptSuffix,
    ...rewardFields,
    maxCompletionLength: rolloutFields.maxCompletionLength,
    evalBatchSize,
    evalTemperature,
    numGenerationsEval,
    ...seedField,
    answers: z.string().optional().describe("write every answer with its scores to this file, as JSONL"),
    ...profileField(),
  })
  .refine(hasWeightPerReward, WEIGHT_PER_REWARD);

export type EvalConfig = z.output<typeof evalSchema>;
