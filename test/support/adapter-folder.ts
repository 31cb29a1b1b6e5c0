import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A safetensors file whose tensors are zeros: by name their shapes. */
export function writeZeros(path: string, shapes: Readonly<Record<string, readonly number[]>>): void {
  let offset = 0;
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const bytes = 4 * shape.reduce((product, axis) => product * axis, 1);
    const entry = { dtype: "F32", shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
    return [name, entry] as const;
  });
  const header = Buffer.from(JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, header, Buffer.alloc(offset)]));
}

/** Both matrices of a layer under PEFT's names. */
export function pair(module: string, out: number, width: number, rank: number): Record<string, number[]> {
  const key = `base_model.model.${module}`;
  return { [`${key}.lora_A.weight`]: [rank, width], [`${key}.lora_B.weight`]: [out, rank] };
}

/** adapter_config.json as PEFT 0.21 writes it, with all fields of methods that are not used. */
export const PEFT_CONFIG = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: null as string | null,
  bias: "none",
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 8,
  lora_bias: false,
  lora_dropout: 0.05,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: "megatron.core",
  modules_to_save: null,
  monteclora_config: null,
  peft_type: "LORA",
  peft_version: "0.21.0",
  qalora_group_size: 16,
  r: 4,
  rank_pattern: {},
  revision: null,
  target_modules: ["v_proj", "q_proj"],
  target_parameters: null,
  task_type: "CAUSAL_LM",
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
};

/** Writes an adapter's folder. */
export function writeAdapter(
  folder: string,
  shapes: Readonly<Record<string, readonly number[]>>,
  config: Readonly<Record<string, unknown>> = {},
): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify({ ...PEFT_CONFIG, ...config }));
  writeZeros(join(folder, "adapter_model.safetensors"), shapes);
  return folder;
}
