import { z } from "zod";
import { underHeading } from "./headings.js";

const patterns = (description: string) =>
  z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .optional()
    .describe(description);

/**
 * What is trained: the whole model, parts of it, or an adapter. Names and defaults are those of TRL's `ModelConfig` and
 * of VLM-R1, except that `lora_dropout` is 0 as in PEFT: with dropout a completion's probability in training differs
 * from the one it was sampled with. Fields of LoRA have no default here, so that one without `use_peft` is noticed.
 */
export const trainableFields = underHeading("LoRA and freezing", {
  freezeVisionModules: z
    .boolean()
    .default(false)
    .meta({ description: "leave the vision tower as it is, and the merger too", aliases: ["freezeVision"] }),
  freezeMerger: z
    .boolean()
    .optional()
    .describe("leave the merger behind the vision tower as it is (default: as freeze_vision_modules)"),
  freezePatterns: patterns("leave these parameters as they are: ends of names, or regular expressions"),
  trainablePatterns: patterns("train no parameters but these: ends of names, or regular expressions"),
  usePeft: z
    .boolean()
    .optional()
    .meta({
      description: "train a LoRA adapter in place of the weights (default: whether adapter is given)",
      aliases: ["lora"],
    }),
  loraR: z
    .int()
    .min(1)
    .optional()
    .meta({ description: "LoRA: rank (default: 16)", aliases: ["loraRank"] }),
  loraAlpha: z.number().gt(0).optional().describe("LoRA: scale times rank (default: 32)"),
  loraDropout: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe("LoRA: share of inputs that the adapter does not see in training (default: 0)"),
  loraTargetModules: patterns(
    "LoRA: layers by the end of their name, or by a regular expression for all of it; all-linear: every one but " +
      "lm_head (default: all linear layers of the language model)",
  ),
  useRslora: z.boolean().optional().describe("LoRA: scale by alpha / √rank in place of alpha / rank"),
  loraVision: z.boolean().optional().describe("LoRA: adapt the linear layers of the vision tower too"),
  loraMerger: z.boolean().optional().describe("LoRA: adapt the linear layers of the merger too"),
});
