import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { fromSystem, VlmR1Error } from "../errors/index.js";

export const ADAPTER_CONFIG = "adapter_config.json";
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

/** The part of PEFT's LoraConfig that says what an adapter computes. */
const LoraConfig = z.looseObject({
  peft_type: z.literal("LORA"),
  base_model_name_or_path: z.string().nullish(),
  /** Of the base model. */
  revision: z.string().nullish(),
  r: z.int().min(1),
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  use_rslora: z.boolean().default(false),
  rank_pattern: z.record(z.string(), z.int().min(1)).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
});

export type PeftLoraConfig = z.output<typeof LoraConfig>;

/** Fields that do not change what a finished adapter computes: where it came from, how it was made and trained. */
const WITHOUT_EFFECT = new Set([
  ...["task_type", "auto_mapping", "peft_version", "inference_mode", "runtime_config"],
  ...["target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "ensure_weight_tying"],
  ...["megatron_config", "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config"],
  ...["velora_config", "qalora_group_size"],
]);

/** Ways to begin that leave the base model's weights as they are. */
const PLAIN_STARTS: readonly unknown[] = [undefined, null, true, false, "gaussian", "eva", "orthogonal"];

const OTHERS_HINT =
  "Supported is plain LoRA on linear layers, with rank and alpha patterns and rank-stabilized scaling. " +
  "Merge this adapter with PEFT (merge_and_unload) and use the merged model.";

/** Reads an adapter's configuration; what this package would compute differently is refused by name. */
export async function readPeftConfig(directory: string): Promise<PeftLoraConfig> {
  const path = join(directory, ADAPTER_CONFIG);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fromSystem(error, "read the adapter's configuration", path, "Only folders in PEFT's format are adapters.");
  }
  return parsePeftConfig(text, path);
}

export function parsePeftConfig(text: string, path: string): PeftLoraConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new VlmR1Error("ERR_MODEL", `${path}: not valid JSON: ${(cause as Error).message}`, { cause });
  }
  const result = LoraConfig.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    const field = issue?.path.join(".") ?? "";
    const got = JSON.stringify((value as Record<string, unknown> | null)?.[String(issue?.path[0] ?? "")]);
    throw new VlmR1Error("ERR_MODEL", `${path}: ${field}: ${issue?.message ?? "not as expected"}, got ${got}`, {
      hint: OTHERS_HINT,
      cause: result.error,
    });
  }
  refuseOthers(result.data, path);
  return result.data;
}

function refuseOthers(config: PeftLoraConfig, path: string): void {
  const { init_lora_weights: start, bias } = config;
  if (!PLAIN_STARTS.includes(start)) throw unsupported(path, "init_lora_weights", start);
  if (bias !== undefined && bias !== null && bias !== "none") throw unsupported(path, "bias", bias);
  for (const [field, value] of Object.entries(config)) {
    const known = field in LoraConfig.shape || WITHOUT_EFFECT.has(field);
    if (known || field === "init_lora_weights" || field === "bias" || isOff(value)) continue;
    throw unsupported(path, field, value);
  }
}

/** What PEFT writes for a method that is not used. */
function isOff(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === null || value === false;
}

function unsupported(path: string, field: string, value: unknown): VlmR1Error {
  return new VlmR1Error("ERR_MODEL", `${path}: ${field}: ${JSON.stringify(value)} is not supported`, {
    hint: OTHERS_HINT,
  });
}
