import { z } from "zod";
import { underHeading } from "./headings.js";
import { SIZE_PATTERN } from "./size.js";

/**
 * Fields that several commands share, to be spread into a command's schema: `z.object({ ...modelFields, … })`.
 * Names and meanings follow Hugging Face where it has them.
 */
export const engineFields = {
  device: z
    .enum(["auto", "cpu", "cuda"])
    .default("auto")
    .describe("where to compute; auto takes CUDA where there is one"),
  threads: z
    .int()
    .min(0)
    .optional()
    .describe(
      "CPU threads, and pictures that are decoded at a time; 0: one per physical core that this process may use " +
        "(default: VLMR1_THREADS, else 0)",
    ),
  isa: z
    .string()
    .optional()
    .describe(
      "force a CPU instruction set: baseline, avx2, avx512, avx512_bf16 (default: VLMR1_CPU_ISA, else the best)",
    ),
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

/** Names as in this package, and as torch has them. */
const PRECISIONS = { auto: "auto", f32: "f32", bf16: "bf16", float32: "f32", bfloat16: "bf16" } as const;

export const adapterField = {
  adapter: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "folder or hub name of a LoRA adapter in PEFT's format", aliases: ["adapterNameOrPath"] }),
};

export const maxShardSizeField = {
  maxShardSize: z
    .union([z.string(), z.number()])
    .transform(String)
    .pipe(z.string().regex(SIZE_PATTERN, "expected a size such as 5GB, 500MB or a number of bytes"))
    .default("5GB")
    .describe("cut saved weights into files of at most this size"),
};

export const modelFields = underHeading("Model", {
  model: z.string().min(1).describe("folder or hub name of a Hugging Face checkpoint, or of an adapter that names one"),
  revision: z.string().min(1).optional().describe("branch, tag or commit of a hub name (default: main)"),
  ...adapterField,
  precision: z
    .enum(["auto", "f32", "bf16", "float32", "bfloat16"])
    .transform((name) => PRECISIONS[name])
    .default("auto")
    .meta({
      description:
        "type of what products read; auto: frozen weights as they are stored, all else f32; bf16: weights and activations, with f32 sums and f32 masters of what trains",
      aliases: ["torchDtype", "dtype"],
    }),
  ...engineFields,
  ...imageFields,
});

/** All optional: what is left out comes from the model's generation_config.json. */
export const samplingFields = underHeading("Sampling", {
  temperature: z.number().min(0).optional().describe("sampling temperature; 0: greedy"),
  topK: z.int().min(0).optional().describe("sample from the k likeliest tokens; 0: off"),
  topP: z.number().gt(0).max(1).optional().describe("sample from the smallest set of this probability; 1: off"),
  minP: z.number().min(0).max(1).optional().describe("leave out tokens below this share of the likeliest; 0: off"),
  repetitionPenalty: z.number().gt(0).optional().describe("over 1: make tokens that were seen less likely; 1: off"),
});

export const maxNumSeqsField = {
  maxNumSeqs: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(128)
    .describe("completions that grow at once; the next ones join as others end, which bounds the memory; 0: all"),
};

/** What a trace is called that was not given a name. */
export const TRACE_FILE = "trace.json";
const PROFILE_EXPECTED = "expected true, false or the name of a file";

/** `--profile`, `--profile FILE`; `where` says where the file is that was not given a name. */
export const profileField = (where = "") => ({
  profile: z
    .union([z.boolean(), z.string().regex(/./, PROFILE_EXPECTED)], PROFILE_EXPECTED)
    .transform((given) => (given === "true" ? true : given === "false" ? false : given))
    .optional()
    .describe(
      "record what time goes to, print the largest parts, and write a trace for Perfetto " +
        `(file, unless named: ${TRACE_FILE}${where})`,
    ),
});

export const seedField = {
  seed: z.int().min(0).default(0).describe("seed of every random number"),
};
