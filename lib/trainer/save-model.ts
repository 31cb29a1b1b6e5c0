import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ADAPTER_CONFIG } from "../adapters/index.js";
import type { CallOptions, Model, SaveDType } from "../engine/index.js";
import {
  copyModelFiles,
  dtypeOf,
  readModelConfig,
  refuseBeside,
  replaceFolder,
  withDtype,
} from "../processing/index.js";

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
