import { z } from "zod";
import { maxNumSeqsField, maxShardSizeField, modelFields, profileField, seedField } from "./common.js";
import { trainableFields } from "./trainable-fields.js";

/**
 * The fields of training runs: config files, flags and `Trainer` options alike. Names and defaults are those of TRL's
 * `GRPOConfig` and `SFTConfig` and of VLM-R1 where these have the field; exceptions say so.
 */

const dataFields = {
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
  evalDataset: z
    .string()
    .optional()
    .meta({ description: "held-out conversations for evaluation", aliases: ["testDataset"] }),
  evalImageFolders: z.array(z.string()).optional().describe("the same for the held-out data"),
  promptSuffix: z.string().default("").describe("written after every question"),
  augment: z
    .boolean()
    .default(false)
    .describe("show pictures shifted, scaled, mirrored and recoloured, anew every epoch"),
  shuffleDataset: z.boolean().default(true).describe("a new order every epoch, computed from the seed"),
};

const runFields = {
  outputDir: z.string().optional().describe("folder of the run (default: runs/<objective>-<date and time>)"),
  overwriteOutputDir: z.boolean().default(false).describe("replace an earlier run in that folder"),
  resume: z
    .boolean()
    .default(false)
    .meta({
      description: "go on from the newest checkpoint in the run's folder",
      aliases: ["resumeFromCheckpoint"],
    }),
  ...seedField,
  maxSteps: z.int().min(-1).default(-1).describe("steps to train; wins over num_train_epochs where it is not -1"),
  numTrainEpochs: z.number().gt(0).default(3).describe("passes over the data"),
  loggingSteps: z.int().min(1).default(10).describe("where the output is no terminal: print a line every N steps"),
  evalSteps: z.int().min(0).default(0).describe("evaluate every N steps; 0: never"),
  evalBatchSize: z
    .int()
    .min(1)
    .default(16)
    .meta({
      description: "questions that are answered at once in an evaluation; the next ones join as others end",
      aliases: ["perDeviceEvalBatchSize"],
    }),
  ...profileField(" in the run's folder"),
  profileSteps: z.int().min(1).default(3).describe("steps that a profile records, after the first one"),
  saveSteps: z.int().min(0).default(100).describe("write a checkpoint every N steps; 0: only at the end or on Ctrl-C"),
  saveTotalLimit: z.int().min(1).default(2).describe("newest checkpoints to keep"),
  saveModelTo: z
    .string()
    .optional()
    .describe("write the trained model (with LoRA: the adapter) into this folder too, when the run is done"),
  saveMergedTo: z
    .string()
    .optional()
    .describe("LoRA: write the model with the adapter merged in into this folder, when the run is done"),
  saveDtype: z
    .enum(["auto", "f32", "bf16", "f16"])
    .default("auto")
    .describe("type of saved weights; auto: as the model's config.json says"),
  ...maxShardSizeField,
};

const optimizerFields = {
  lrSchedulerType: z.enum(["constant", "linear", "cosine"]).default("linear").describe("course of the learning rate"),
  warmupSteps: z.int().min(0).default(0).describe("steps over which the learning rate rises from 0"),
  warmupRatio: z.number().min(0).max(1).default(0).describe("the same as a share of all steps"),
  adamBeta1: z.number().min(0).lt(1).default(0.9).describe("AdamW: decay of the first moment"),
  adamBeta2: z.number().min(0).lt(1).default(0.999).describe("AdamW: decay of the second moment"),
  adamEpsilon: z.number().gt(0).default(1e-8).describe("AdamW: added to the denominator"),
  weightDecay: z.number().min(0).default(0).describe("AdamW: decoupled weight decay"),
  maxGradNorm: z.number().min(0).default(1).describe("clip the norm of the gradient; 0: do not"),
  gradientCheckpointing: z
    .boolean()
    .default(true)
    .describe("compute activations again in the backward pass: less memory, more time, the same bits"),
  promptsPerStep: z
    .int()
    .min(1)
    .default(8)
    .describe("questions per step (in TRL's terms: batch size × gradient accumulation ÷ generations)"),
  maxTokensPerMicrobatch: z
    .union([z.literal("auto"), z.int().min(1)], 'expected "auto" or a whole number of at least 1')
    .default("auto")
    .describe(
      "packed tokens of one forward and backward pass; bounds the memory; " +
        "auto: 1024 or one group, whichever is more, and less where that would not fit",
    ),
};

const learningRate = (value: number) =>
  z
    .number()
    .min(0)
    .default(value)
    .meta({ description: "highest learning rate", aliases: ["lr"] });

const rolloutFields = {
  numGenerations: z.int().min(2).default(8).describe("completions per question"),
  maxCompletionLength: z
    .int()
    .min(1)
    .default(256)
    .meta({ description: "most tokens of a completion", aliases: ["maxNewTokens"] }),
  temperature: z.number().gt(0).default(1).describe("sampling temperature"),
  topK: z.int().min(0).default(0).describe("sample from the k likeliest tokens; 0: off"),
  topP: z.number().gt(0).max(1).default(1).describe("sample from the smallest set of this probability; 1: off"),
  minP: z.number().min(0).max(1).default(0).describe("leave out tokens below this share of the likeliest; 0: off"),
  repetitionPenalty: z.number().gt(0).default(1).describe("over 1: make tokens that were seen less likely; 1: off"),
  ...maxNumSeqsField,
};

export const rewardFields = {
  rewards: z
    .array(z.string().min(1))
    .min(1)
    .default(["content", "format"])
    .meta({
      description: "built-in rewards and files of your own, as ./mine.mjs or ./mine.mjs#name",
      aliases: ["reward", "rewardFuncs"],
    }),
  rewardWeights: z.array(z.number()).optional().describe("one weight per reward (default: all 1)"),
  rewardTimeout: z.number().gt(0).default(30).describe("seconds that one call of a reward may take"),
};

const lossFields = {
  lossType: z.enum(["grpo", "bnpo", "dr_grpo", "dapo"]).default("dapo").describe("how token losses are averaged"),
  beta: z.number().min(0).default(0).describe("weight of the KL term; 0: no reference model (VLM-R1 uses 0.04)"),
  epsilon: z.number().min(0).default(0.2).describe("lower clipping range of the ratio"),
  epsilonHigh: z.number().min(0).optional().describe("upper clipping range (default: epsilon)"),
  delta: z.number().gt(0).optional().describe("upper bound of the ratio, for two-sided clipping (default: none)"),
  numIterations: z.int().min(1).default(1).describe("optimizer updates per rollout"),
  scaleRewards: z.enum(["group", "batch", "none"]).default("group").describe("what advantages are divided by"),
  maskTruncatedCompletions: z.boolean().default(false).describe("leave completions that never ended out of the loss"),
  logCompletions: z.boolean().default(true).describe("write completions.jsonl"),
};

/** GRPO: `vlmr1-native train`, `new Trainer({…})`. */
export const grpoSchema = z
  .object({
    ...modelFields,
    ...dataFields,
    ...runFields,
    learningRate: learningRate(1e-6),
    ...trainableFields,
    ...optimizerFields,
    ...rolloutFields,
    ...rewardFields,
    ...lossFields,
  })
  .refine(({ rewards, rewardWeights }) => rewardWeights === undefined || rewardWeights.length === rewards.length, {
    path: ["rewardWeights"],
    message: "expected one weight per reward",
  });

/** Supervised fine-tuning: `vlmr1-native sft`, `new Trainer({ objective: "sft", … })`. */
export const sftSchema = z
  .object({
    ...modelFields,
    ...dataFields,
    ...runFields,
    learningRate: learningRate(2e-5),
    ...trainableFields,
    ...optimizerFields,
    maxCompletionLength: rolloutFields.maxCompletionLength,
    ...rewardFields,
  })
  .refine(({ rewards, rewardWeights }) => rewardWeights === undefined || rewardWeights.length === rewards.length, {
    path: ["rewardWeights"],
    message: "expected one weight per reward",
  });

export type GrpoConfig = z.output<typeof grpoSchema>;
export type SftConfig = z.output<typeof sftSchema>;
export type GrpoInput = z.input<typeof grpoSchema>;
export type SftInput = z.input<typeof sftSchema>;

/** What both kinds of run have. */
export type RunConfig = SftConfig;
