import { z } from "zod";
import { imageFields, seedField } from "./common.js";
import { dataFields } from "./data-fields.js";
import { underHeading } from "./headings.js";
import { rewardFields } from "./reward-fields.js";
import { rolloutFields } from "./rollout-fields.js";

const WHOLE = "expected a whole number of at least 1, or all";

const inputFields = underHeading("Input", {
  input: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: "file or folder, several as a.csv:b.csv; also without its flag",
      aliases: ["data", "dataset"],
    }),
  format: z
    .enum(["auto", "csv", "llava", "vlm-r1", "parquet", "folders", "conversations"])
    .default("auto")
    .describe("how the input is written; auto: as its ending says"),
  columns: z
    .array(z.string())
    .default([])
    .describe("which columns hold what, as role=column: image, question, answer, think, id (default: by their names)"),
  imageFolders: dataFields.imageFolders,
  encoding: z.string().optional().describe("of CSV and JSON (default: UTF-8, or GB18030 where it is not that)"),
  delimiter: z.string().min(1).optional().describe("of CSV (default: , ; tab or |, whichever the header has)"),
  checkPictures: z.boolean().default(false).describe("decode every picture whole, which finds the damaged ones"),
});

const textFields = underHeading("Questions and answers", {
  questions: z
    .string()
    .optional()
    .describe(
      "question templates: food-zh, food-en, dish-zh, dish-en, generic-zh, generic-en, or a file (default: the " +
        "question's column, else by the columns)",
    ),
  questionsPerRow: z
    .union([z.int().min(1), z.literal("all")], WHOLE)
    .default(1)
    .describe("how many of the templates ask about each row: a number, or all"),
  answerTemplate: z
    .string()
    .optional()
    .describe(
      "the answer, with fields as {name} or {heat|number} (default: the answer's column, else by the templates)",
    ),
  think: z.string().optional().describe("thoughts before the answer, in <think>, with fields"),
  wrap: z
    .enum(["auto", "answer", "none"])
    .default("auto")
    .describe("put <answer> around answers; auto: unless the rows are conversations already"),
  keep: z.array(z.string()).optional().describe("columns that rows keep (default: of conversations all, else none)"),
});

const splitFields = underHeading("Training and test set", {
  testSplit: z.number().gt(0).lt(1).optional().describe("share of the rows for the test set"),
  splitColumn: z.string().optional().describe("column that says train or test"),
  stratify: z.string().optional().describe("column of which every value gives its share to the test set"),
  group: z.string().optional().describe("column whose equal values stay on one side, as equal pictures always do"),
  ...seedField,
});

const outputFields = underHeading("Output", {
  output: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: "file to write, .json or .jsonl, or a folder for data.json, or train.json and test.json",
      aliases: ["out"],
    }),
  pictureFolder: z.string().default("images").describe("folder beside the output for pictures that come as bytes"),
  overwriteOutput: z
    .boolean()
    .default(false)
    .meta({ description: "replace files that are there", aliases: ["overwrite"] }),
  strict: z.boolean().default(false).describe("fail where a single row is left out"),
});

const checkFields = underHeading("Check", {
  check: z.boolean().default(false).describe("write nothing; say what training would make of the data"),
  against: z.string().optional().describe("with check: conversations that must share no picture with the data"),
  model: z.string().optional().describe("with check: count tokens as this model's processor does; folder or hub name"),
  revision: z.string().min(1).optional().describe("branch, tag or commit of a hub name (default: main)"),
  minPixels: imageFields.minPixels,
  maxPixels: imageFields.maxPixels,
  promptSuffix: dataFields.promptSuffix,
  maxCompletionLength: rolloutFields.maxCompletionLength,
  rewards: rewardFields.rewards
    .unwrap()
    .optional()
    .meta({
      description: "with check: say to how many rows these rewards apply, and what the rows' own answers get",
      aliases: ["reward", "rewardFuncs"],
    }),
  show: z.int().min(0).default(2).describe("with check and a model: rendered prompts to print"),
});

const { input, ...readFields } = inputFields;
const { strict, ...writeFields } = outputFields;

/** What `convertData` takes beside its input. */
export const conversionSchema = z.object({ ...readFields, ...textFields, ...splitFields, ...writeFields });

/** `vlmr1-native convert`. */
export const convertSchema = z.object({ input, ...conversionSchema.shape, strict, ...checkFields });

/** The part of a command's options that a conversion takes. */
export function conversionOf(config: ConvertConfig): z.output<typeof conversionSchema> {
  const pairs = Object.keys(conversionSchema.shape).map((key) => [key, config[key as keyof ConvertConfig]]);
  return Object.fromEntries(pairs) as z.output<typeof conversionSchema>;
}

export type ConvertConfig = z.output<typeof convertSchema>;
