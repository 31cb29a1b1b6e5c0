import { z } from "zod";
import { underHeading } from "./headings.js";

/** Which rows a run learns from, in which order, and which are held out. */
export const dataFields = underHeading("Data", {
  dataset: z
    .string()
    .min(1)
    .meta({
      description: "conversations JSON or JSONL; several as a.json:b.jsonl",
      aliases: ["data", "dataFilePaths"],
    }),
  imageFolders: z
    .array(z.string())
    .optional()
    .describe("folder of relative picture paths: one for all data files or one each (default: the file's own)"),
  datasetWeights: z
    .array(z.number().min(0))
    .optional()
    .meta({
      description: "how much of the questions comes from each data file, as shares of their sum (default: their rows)",
      aliases: ["interleaveProb"],
    }),
  evalDataset: z
    .string()
    .optional()
    .meta({ description: "held-out conversations for evaluation", aliases: ["testDataset"] }),
  evalImageFolders: z.array(z.string()).optional().describe("the same for the held-out data"),
  valSplitRatio: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .meta({
      description:
        "without eval_dataset: hold out this share of the rows, chosen by the seed; rows with the same picture stay together",
      aliases: ["splitDatasetRatio", "evalSplit"],
    }),
  promptSuffix: z.string().default("").describe("written after every question"),
  maxPromptLength: z
    .int()
    .min(1)
    .optional()
    .describe("leave out rows whose prompt has more tokens, pictures included (default: what the model has room for)"),
  augment: z
    .boolean()
    .default(false)
    .describe("show pictures shifted, scaled, mirrored and recoloured, anew every epoch"),
  shuffleDataset: z.boolean().default(true).describe("a new order every epoch, computed from the seed"),
  curriculum: z
    .boolean()
    .default(false)
    .describe("one data file after another, each shuffled in itself: put the easy ones first"),
});
