import { z } from "zod";

/**
 * Fields that several commands share, to be spread into a command's schema: `z.object({ ...modelFields, … })`.
 * Names and meanings follow Hugging Face where it has them.
 */
export const engineFields = {
  device: z
    .enum(["auto", "cpu", "cuda"])
    .default("auto")
    .describe("where to compute; auto takes CUDA where there is one"),
  threads: z.int().min(0).optional().describe("CPU threads; 0: one per physical core (default: VLMR1_THREADS, else 0)"),
  isa: z
    .string()
    .optional()
    .describe("force a CPU instruction set: baseline, avx2, avx512 (default: VLMR1_CPU_ISA, else the best)"),
};

export const imageFields = {
  minPixels: z.int().min(1).optional().describe("least pixels of a resized picture (default: the model's)"),
  maxPixels: z
    .int()
    .min(1)
    .optional()
    .describe("most pixels of a resized picture; fewer cost less (default: the model's)"),
  alpha: z
    .enum(["white", "drop"])
    .default("white")
    .describe("transparent pictures: paste on white, or drop the alpha channel"),
};

export const modelFields = {
  model: z.string().min(1).describe("folder of a Hugging Face checkpoint"),
  ...engineFields,
  ...imageFields,
};

/** All optional: what is left out comes from the model's generation_config.json. */
export const samplingFields = {
  temperature: z.number().min(0).optional().describe("sampling temperature; 0: greedy"),
  topK: z.int().min(0).optional().describe("sample from the k likeliest tokens; 0: off"),
  topP: z.number().gt(0).max(1).optional().describe("sample from the smallest set of this probability; 1: off"),
  minP: z.number().min(0).max(1).optional().describe("leave out tokens below this share of the likeliest; 0: off"),
  repetitionPenalty: z.number().gt(0).optional().describe("over 1: make tokens that were seen less likely; 1: off"),
};

export const seedField = {
  seed: z.int().min(0).default(0).describe("seed of every random number"),
};
