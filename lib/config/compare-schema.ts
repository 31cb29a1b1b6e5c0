import { z } from "zod";

import { modelFields } from "./common.js";
import { classField, evaluatedDataset, evaluatingFields, resumeField } from "./eval-schema.js";
import { underHeading } from "./headings.js";
import { hasWeightPerReward, WEIGHT_PER_REWARD } from "./reward-fields.js";

const { model, revision, adapter, ...loadFields } = modelFields;

const comparisonFields = underHeading("Comparison", {
  cluster: z
    .enum(["picture", "row"])
    .default("picture")
    .describe("what the bootstrap draws together: rows that share a picture, or each row for itself"),
  resamples: z.int().min(100).max(1_000_000).default(10_000).describe("resamples of the bootstrap"),
  ...classField,
  top: z.int().min(0).default(5).describe("classes and rows that are shown"),
});

/** What also says something where both are evaluations that are there. */
export const comparisonFlags = [...Object.keys(comparisonFields), "dataset", "imageFolders", "seed"];

/** `vlmr1-native compare`: the two are arguments; most fields say how models among them are evaluated. */
export const compareSchema = z
  .object({
    ...comparisonFields,
    ...underHeading("Model", {
      baseModel: model.optional().describe("model that adapters are put on which do not name one"),
    }),
    ...loadFields,
    dataset: evaluatedDataset.optional().meta({
      ...evaluatedDataset.meta(),
      description: "what models are evaluated on: conversations JSON or JSONL; several as a.json:b.jsonl",
    }),
    ...evaluatingFields,
    answers: z
      .string()
      .optional()
      .describe("folder to write the answers of evaluated models to: first.jsonl, second.jsonl"),
    ...resumeField,
  })
  .refine(hasWeightPerReward, WEIGHT_PER_REWARD);

export type CompareConfig = z.output<typeof compareSchema>;
