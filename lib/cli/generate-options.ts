import { z } from "zod";
import { maxNumSeqsField, modelFields, profileField, samplingFields, seedField } from "../config/index.js";
import type { SamplingArgs } from "../engine/index.js";
import { usageError } from "../errors/index.js";
import { type Processor, resolveSampling } from "../processing/index.js";

export const generateSchema = z.object({
  ...modelFields,
  prompt: z.string().optional().describe("the question; <image> marks where a picture stands; - reads standard input"),
  image: z.array(z.string()).default([]).describe("pictures, in the order in which the prompt speaks of them"),
  system: z.string().optional().describe("system message"),
  chat: z.boolean().default(false).describe("go on asking: a conversation, on a terminal or line by line"),
  promptsFile: z
    .string()
    .min(1)
    .optional()
    .describe("answer many: JSONL with prompt and, where wanted, image, system, id; - reads standard input"),
  n: z.int().min(1).max(4096).default(1).describe("completions of the same prompt"),
  maxNewTokens: z.int().min(1).default(256).describe("longest completion in tokens"),
  ...samplingFields,
  ...maxNumSeqsField,
  ...seedField,
  ...profileField(),
});

export type GenerateConfig = z.output<typeof generateSchema>;

/** Ways to use the command that exclude each other. Throws `ERR_USAGE`. */
export function checkModes({ chat, promptsFile, image, system, n }: GenerateConfig, prompt: string | undefined): void {
  if (chat && promptsFile !== undefined) throw usageError("--chat and --prompts-file exclude each other");
  if (chat && n > 1) throw usageError("--chat goes on with one answer, but --n asks for several");
  if (chat && prompt === "-") throw usageError("--chat reads standard input itself", "Leave out the prompt -.");
  if (promptsFile === undefined) return;
  const beside = [
    prompt !== undefined && "a prompt",
    image.length > 0 && "--image",
    system !== undefined && "--system",
  ];
  const given = beside.find((what) => what !== false);
  if (given === undefined) return;
  throw usageError(`--prompts-file and ${given} exclude each other`, "Its lines have prompt, image and system.");
}

/** What the command line says over what the model's folder says. */
export function samplingOf(config: GenerateConfig, processor: Processor): SamplingArgs {
  const { temperature, topK, topP, minP, repetitionPenalty, maxNewTokens } = config;
  return resolveSampling(processor.generation, { temperature, topK, topP, minP, repetitionPenalty, maxNewTokens });
}
