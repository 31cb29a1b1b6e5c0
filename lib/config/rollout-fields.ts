import { z } from "zod";
import { maxNumSeqsField } from "./common.js";
import { underHeading } from "./headings.js";

/** How completions are sampled, and what for. */
export const rolloutFields = underHeading("Sampling", {
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
  stepsPerGeneration: z
    .int()
    .min(1)
    .optional()
    .describe(
      "times prompts_per_step: the questions that are sampled at once; more than gradient_accumulation_steps, " +
        "a multiple of it: several updates, from ever older completions (default: gradient_accumulation_steps)",
    ),
  dynamicSampling: z
    .boolean()
    .default(false)
    .describe(
      "drop groups whose rewards are all equal, which teach nothing, and sample other questions in their place",
    ),
  maxNumGenBatches: z
    .int()
    .min(1)
    .default(10)
    .describe("dynamic_sampling: give up after this many rounds of sampling, and train on what there is"),
});
