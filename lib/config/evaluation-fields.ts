import { z } from "zod";
import { underHeading } from "./headings.js";

/** Evaluation while a run trains. Names and defaults are those of transformers' `TrainingArguments`. */
export const evaluationFields = underHeading("Evaluation", {
  evalSteps: z
    .int()
    .min(0)
    .default(0)
    .describe("evaluate every N steps, on eval_dataset or what val_split_ratio holds out; 0: never"),
  evalBatchSize: z
    .int()
    .min(1)
    .default(16)
    .meta({
      description: "answers that grow at once in an evaluation; the next ones join as others end",
      aliases: ["perDeviceEvalBatchSize"],
    }),
  evalTemperature: z.number().min(0).default(0).describe("evaluation: sampling temperature; 0: greedy"),
  numGenerationsEval: z
    .int()
    .min(1)
    .default(1)
    .describe("evaluation: answers per question; more than one needs eval_temperature"),
  metricForBestModel: z
    .string()
    .min(1)
    .default("eval_reward")
    .describe("the checkpoint after the evaluation where this is best is kept"),
  greaterIsBetter: z
    .boolean()
    .optional()
    .describe("whether more of metric_for_best_model is better (default: unless its name ends with loss)"),
  loadBestModelAtEnd: z.boolean().default(false).describe("end with the weights of the best checkpoint"),
  earlyStoppingPatience: z
    .int()
    .min(0)
    .default(0)
    .describe("stop after this many evaluations in a row without a better one; 0: never"),
  earlyStoppingThreshold: z.number().min(0).default(0).describe("how much better counts as better"),
});
