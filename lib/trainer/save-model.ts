import { realpath, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ADAPTER_CONFIG } from "../adapters/index.js";
import type { CallOptions, Model, SaveDType } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import {
  copyModelFiles,
  dtypeOf,
  readModelConfig,
  refuseBeside,
  replaceFolder,
  requireWritable,
  withDtype,
} from "../processing/index.js";

export interface SaveModelOptions extends CallOptions {
  /** "model": the weights without an adapter; "merged": with it added in. */
  what?: "model" | "merged" | undefined;
  /** "auto": as the model's config.json says. */
  dtype: SaveDType | "auto";
  maxShardBytes: number;
}

/** Writes a folder that transformers loads; it is written beside and renamed. */
export async function saveModelFolder(model: Model, target: string, options: SaveModelOptions): Promise<void> {
  await checkModelTarget(model, target);
  await replaceFolder(target, (folder) => writeModelFiles(model, folder, options));
}

/** Throws where a model cannot be saved to a folder, or must not be. */
export async function checkModelTarget(model: Model, target: string): Promise<void> {
  // An adapter would be added a second time to a base that has it, and a run's reference policy would be gone.
  if ((await pathOf(target)) === (await pathOf(model.directory))) {
    throw new VlmR1Error("ERR_USAGE", `${target} is the folder that the model was loaded from`, {
      hint: "Choose another folder: the model that was trained is still needed, to resume and to compare with.",
    });
  }
  // transformers would take the whole for an adapter and put it on top.
  await refuseBeside(target, ADAPTER_CONFIG, "an adapter");
  await requireWritable(target);
}

async function pathOf(folder: string): Promise<string> {
  return realpath(folder).catch(() => resolve(folder));
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
