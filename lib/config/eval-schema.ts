import { z } from "zod";

import { modelFields, profileField, seedField } from "./common.js";
import { dataFields } from "./data-fields.js";
import { evaluationFields } from "./evaluation-fields.js";
import { hasWeightPerReward, rewardFields, WEIGHT_PER_REWARD } from "./reward-fields.js";
import { rolloutFields } from "./rollout-fields.js";

const { imageFolders, promptSuffix } = dataFields;
const { evalBatchSize, evalTemperature, numGenerationsEval } = evaluationFields;

/** The data set of an evaluation, by all the names that it has elsewhere. */
export const evaluatedDataset = dataFields.dataset.meta({
  ...dataFields.dataset.meta(),
  aliases: ["data", "evalDataset", "dataFilePaths"],
});

/** How a model is evaluated outside of a run: what it shares with a run's evaluations has the same names and defaults. */
export const evaluatingFields = {
  imageFolders,
  limit: z
    .int()
    .min(1)
    .optional()
    .meta({ description: "evaluate the first N rows alone (default: all)", aliases: ["maxEvalSamples"] }),
  promptSuffix,
  ...rewardFields,
  maxCompletionLength: rolloutFields.maxCompletionLength,
  evalBatchSize,
  evalTemperature,
  numGenerationsEval,
  ...seedField,
};

export const classField = {
  classField: z
    .string()
    .min(1)
    .optional()
    .describe("classes are this field of the data set's rows (default: the expected answer without its numbers)"),
};

export const resumeField = {
  resume: z
    .boolean()
    .default(false)
    .describe(
      "go on with the answers that an interrupted evaluation wrote; the model and all options must be the same",
    ),
};

const tableFields = {
  details: z.boolean().default(false).describe("print the tables by class, of confused names and of numbers"),
  ...classField,
  top: z.int().min(1).default(10).describe("lines of a table that is cut"),
};

/** `vlmr1-native eval`. */
export const evalSchema = z
  .object({
    ...modelFields,
    dataset: evaluatedDataset,
    ...evaluatingFields,
    answers: z
      .string()
      .optional()
      .describe(
        "write every answer with its scores to this file, as JSONL, as they come; options go to FILE.options.json",
      ),
    ...resumeField,
    ...tableFields,
    ...profileField(),
  })
  .refine(hasWeightPerReward, WEIGHT_PER_REWARD);

export type EvalConfig = z.output<typeof evalSchema>;

/** `vlmr1-native eval FILE`: the tables of answers that are there already. */
export const answersSchema = z.object({ dataset: evaluatedDataset.optional(), imageFolders, ...tableFields });

export type AnswersConfig = z.output<typeof answersSchema>;
