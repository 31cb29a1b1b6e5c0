import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Engine, ModelDescription } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { readModelConfigText } from "../processing/index.js";
import { ADAPTER_CONFIG, readPeftConfig } from "./peft-config.js";
import { readAdapter, type StoredAdapter } from "./read-adapter.js";

/** Where weights come from. */
export interface ModelSource {
  /** A Hugging Face folder. */
  directory: string;
  /** A folder in PEFT's format that is put on it. */
  adapter: string | undefined;
}

/** `model` may be the folder of an adapter, which names the model that it belongs to. */
export async function resolveModelSource(model: string, adapter?: string): Promise<ModelSource> {
  if (!isAdapterFolder(model)) return { directory: model, adapter };
  if (adapter !== undefined) {
    throw new VlmR1Error("ERR_CONFIG", `model: ${model} is an adapter, and adapter is given too`, {
      hint: "Give the base model's folder as model; one adapter can be used at a time.",
    });
  }
  const { base_model_name_or_path: base } = await readPeftConfig(model);
  if (base !== undefined && base !== null && existsSync(join(base, "config.json"))) {
    return { directory: base, adapter: model };
  }
  throw new VlmR1Error("ERR_MODEL", `${model} is an adapter of ${base ?? "an unnamed model"}, which is not there`, {
    hint: `Give both: --model BASE --adapter ${model}`,
  });
}

function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, ADAPTER_CONFIG)) && !existsSync(join(folder, "config.json"));
}

/** The parameters of a model's folder. */
export async function describeFolder(engine: Engine, directory: string): Promise<ModelDescription> {
  return engine.describeModel(await readModelConfigText(directory));
}

/** The adapter of a source, checked against its model; undefined where it has none. */
export async function openStoredAdapter(engine: Engine, source: ModelSource): Promise<StoredAdapter | undefined> {
  if (source.adapter === undefined) return undefined;
  return readAdapter(source.adapter, await describeFolder(engine, source.directory));
}
