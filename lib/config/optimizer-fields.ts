import { z } from "zod";
import { underHeading } from "./headings.js";

const rate = (description: string, alias: string) =>
  z
    .number()
    .min(0)
    .optional()
    .meta({ description, aliases: [alias] });

/** How the weights follow the gradient. Names and defaults are those of transformers' `TrainingArguments`. */
export const optimizerFields = underHeading("Optimizer", {
  visionLearningRate: rate("the same for the vision tower (default: learning_rate)", "vitLr"),
  mergerLearningRate: rate("the same for the merger behind it (default: learning_rate)", "alignerLr"),
  optim: z
    .enum(["adamw", "adamw_8bit"])
    .default("adamw")
    .describe("adamw_8bit holds the moments in one byte each, in blocks with a scale"),
  stochasticRounding: z
    .boolean()
    .default(false)
    .meta({
      description: "bf16 without f32 masters: updates are rounded up or down at random, true on average; less memory",
      aliases: ["bf16StochasticRound"],
    }),
  lrSchedulerType: z
    .enum([
      "constant",
      "constant_with_warmup",
      "linear",
      "cosine",
      "cosine_with_restarts",
      "cosine_with_min_lr",
      "polynomial",
      "inverse_sqrt",
      "warmup_stable_decay",
    ])
    .default("linear")
    .describe("course of the learning rate"),
  lrSchedulerKwargs: z
    .record(z.string(), z.union([z.number(), z.string()]))
    .optional()
    .describe("its own settings: num_cycles, power, lr_end, min_lr, min_lr_rate, num_decay_steps …"),
  warmupSteps: z.int().min(0).default(0).describe("steps over which the learning rate rises from 0"),
  warmupRatio: z.number().min(0).max(1).default(0).describe("the same as a share of all steps"),
  adamBeta1: z.number().min(0).lt(1).default(0.9).describe("AdamW: decay of the first moment"),
  adamBeta2: z.number().min(0).lt(1).default(0.999).describe("AdamW: decay of the second moment"),
  adamEpsilon: z.number().gt(0).default(1e-8).describe("AdamW: added to the denominator"),
  weightDecay: z.number().min(0).default(0).describe("AdamW: decoupled weight decay; never of norms and biases"),
  weightDecayExclude: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .optional()
    .describe("no weight decay of these parameters either: ends of names, or regular expressions"),
  maxGradNorm: z.number().min(0).default(1).describe("clip the norm of the gradient; 0: do not"),
  gradientCheckpointing: z
    .boolean()
    .default(true)
    .describe("compute activations again in the backward pass: less memory, more time, the same bits"),
  promptsPerStep: z
    .int()
    .min(1)
    .default(8)
    .describe("questions per step of gradient accumulation (in TRL's terms: per-device batch size ÷ generations)"),
  gradientAccumulationSteps: z
    .int()
    .min(1)
    .default(1)
    .describe("times prompts_per_step: the questions of one optimizer update"),
  maxTokensPerMicrobatch: z
    .union([z.literal("auto"), z.int().min(1)], 'expected "auto" or a whole number of at least 1')
    .default("auto")
    .describe(
      "packed tokens of one forward and backward pass; bounds the memory; " +
        "auto: 1024 or one group, whichever is more, and less where that would not fit",
    ),
});

/** Its default depends on what is trained. */
export const learningRateField = (value: number) =>
  underHeading("Optimizer", {
    learningRate: z
      .number()
      .min(0)
      .default(value)
      .meta({ description: "highest learning rate", aliases: ["lr"] }),
  });
