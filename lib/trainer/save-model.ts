import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ADAPTER_CONFIG } from "../adapters/index.js";
import type { CallOptions, Model, SaveDType } from "../engine/index.js";
import { copyModelFiles, type ModelConfig, readModelConfig, refuseBeside, replaceFolder } from "../processing/index.js";

const DTYPE_NAMES: Readonly<Record<SaveDType, string>> = { f32: "float32", bf16: "bfloat16", f16: "float16" };
const DTYPES: Readonly<Record<string, SaveDType>> = { float32: "f32", bfloat16: "bf16", float16: "f16" };

export interface SaveModelOptions extends CallOptions {
  /** "model": the weights without an adapter; "merged": with it added in. */
  what?: "model" | "merged";
  /** "auto": as the model's config.json says. */
  dtype: SaveDType | "auto";
  maxShardBytes: number;
}

/** Writes a folder that transformers loads; it is written beside and renamed. */
export async function saveModelFolder(model: Model, target: string, options: SaveModelOptions): Promise<void> {
  // transformers would take the whole for an adapter and put it on top.
  await refuseBeside(target, ADAPTER_CONFIG, "an adapter");
  await replaceFolder(target, (folder) => writeModelFiles(model, folder, options));
}

/** Weights, config.json with their type, tokenizer and processor files. */
export async function writeModelFiles(model: Model, folder: string, options: SaveModelOptions): Promise<void> {
  const { what = "model", dtype, maxShardBytes, signal } = options;
  const config = await readModelConfig(model.directory);
  const chosen = dtype === "auto" ? dtypeOf(config) : dtype;
  await copyModelFiles(model.directory, folder);
  await model.save(folder, { what, dtype: chosen, maxShardBytes, signal });
  await writeFile(join(folder, "config.json"), `${JSON.stringify(withDtype(config, chosen), null, 2)}\n`);
}

function dtypeOf(config: ModelConfig): SaveDType {
  return DTYPES[String(config.dtype ?? config.torch_dtype)] ?? "f32";
}

/** transformers loads weights in the type that config.json names, under the key that its version knows. */
function withDtype(config: ModelConfig, dtype: SaveDType): ModelConfig {
  const key = "dtype" in config ? "dtype" : "torch_dtype";
  const out: ModelConfig = { ...config, [key]: DTYPE_NAMES[dtype] };
  for (const [name, part] of Object.entries(config)) {
    if (typeof part !== "object" || part === null || Array.isArray(part)) continue;
    const nested = ["dtype", "torch_dtype"].find((candidate) => candidate in part);
    if (nested !== undefined) out[name] = { ...part, [nested]: DTYPE_NAMES[dtype] };
  }
  return out;
}
