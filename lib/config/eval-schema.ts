import { z } from "zod";
import { modelFields, profileField } from "./common.js";
import { hasWeightPerReward, rewardFields, WEIGHT_PER_REWARD } from "./reward-fields.js";

/** `vlmr1-native eval`. */
export const evalSchema = z
  .object({
    ...modelFields,
    dataset: z
      .string()
      .min(1)
      .meta({
        description: "conversations JSON or JSONL; several as a.json:b.jsonl",
        aliases: ["data", "evalDataset", "dataFilePaths"],
      }),
    imageFolders: z
      .array(z.string())
      .optional()
      .describe("folder of relative picture paths: one for all data files or one each (default: the file's own)"),
    promptSuffix: z.string().default("").describe("written after every question"),
    ...rewardFields,
    maxCompletionLength: z
      .int()
      .min(1)
      .default(256)
      .meta({ description: "most tokens of an answer", aliases: ["maxNewTokens"] }),
    evalBatchSize: z
      .int()
      .min(1)
      .default(16)
      .describe("questions that are answered at once; the next ones join as others end"),
    answers: z.string().optional().describe("write every answer with its scores to this file, as JSONL"),
    ...profileField(),
  })
  .refine(hasWeightPerReward, WEIGHT_PER_REWARD);

export type EvalConfig = z.output<typeof evalSchema>;
