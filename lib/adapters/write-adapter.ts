import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CallOptions, Model, ModelDescription } from "../engine/index.js";
import { copyModelFiles, refuseBeside, replaceFolder, requireWritable } from "../processing/index.js";
import type { AdapterModule, AdapterSpec } from "./adapter.js";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, readPeftConfig } from "./peft-config.js";
import { ownEnds, targetModules } from "./target-modules.js";

/** What a folder in PEFT's format says beside the weights. */
export interface AdapterIdentity {
  spec: AdapterSpec;
  /** The base model's. */
  description: ModelDescription;
  /** The base model as PEFT is to find it: a name on the hub or a path. */
  baseModel: string;
  /** Of a name on the hub. */
  baseRevision?: string | undefined;
}

/** Fields as of this version of PEFT. */
const PEFT_VERSION = "0.21.0";

/**
 * Writes a folder that PEFT loads: adapter_model.safetensors, adapter_config.json, and the tokenizer's files. It is
 * written beside and renamed.
 */
export async function saveAdapterFolder(
  model: Model,
  target: string,
  identity: AdapterIdentity,
  { signal }: CallOptions = {},
): Promise<void> {
  await checkAdapterTarget(target);
  await replaceFolder(target, (folder) => writeAdapterFiles(model, folder, identity, { signal }));
}

/** Throws where an adapter cannot be saved to a folder. */
export async function checkAdapterTarget(target: string): Promise<void> {
  await refuseBeside(target, "config.json", "a model");
  await requireWritable(target);
}

/** The same into a folder that is being written. */
export async function writeAdapterFiles(
  model: Model,
  folder: string,
  identity: AdapterIdentity,
  { signal }: CallOptions = {},
): Promise<void> {
  await copyModelFiles(model.directory, folder);
  await model.save(join(folder, ADAPTER_WEIGHTS), { what: "adapter", signal });
  await writeFile(join(folder, ADAPTER_CONFIG), `${JSON.stringify(peftConfig(identity), null, 2)}\n`);
}

/** adapter_config.json: PEFT adapts exactly these modules, with these ranks and scales. */
export function peftConfig({ spec, description, baseModel, baseRevision }: AdapterIdentity): Record<string, unknown> {
  const { modules, useRslora, dropout } = spec;
  const names = modules.map(({ runtimeName }) => runtimeName);
  const rank = mostFrequent(modules.map((module) => module.rank));
  const alpha = mostFrequent(modules.map((module) => module.alpha));
  const keys = ownEnds(names, description);
  const pattern = (value: (module: AdapterModule) => number, usual: number) =>
    Object.fromEntries(
      modules
        .filter((module) => value(module) !== usual)
        .map((module) => [(keys.get(module.runtimeName) as string).replaceAll(".", "\\."), value(module)]),
    );
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    peft_version: PEFT_VERSION,
    base_model_name_or_path: baseModel,
    revision: baseRevision ?? null,
    inference_mode: true,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: dropout,
    target_modules: targetModules(names, description),
    rank_pattern: pattern((module) => module.rank, rank),
    alpha_pattern: pattern((module) => module.alpha, alpha),
    use_rslora: useRslora,
    use_dora: false,
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    modules_to_save: null,
  };
}

/** What the same weights are multiplied by. */
const SCALES = ["r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"] as const;

/** In which of them the adapter of a folder that was written here is another than this one: `lora_alpha 32, now 8`. */
export async function changedScales(directory: string, identity: AdapterIdentity): Promise<string[]> {
  const stored = await readPeftConfig(directory);
  const now = peftConfig(identity);
  return SCALES.flatMap((name) => {
    const [was, is] = [JSON.stringify(stored[name]), JSON.stringify(now[name])];
    return was === is ? [] : [`${name} ${was}, now ${is}`];
  });
}

/** The first of those that are there most often. */
function mostFrequent(values: readonly number[]): number {
  const count = new Map<number, number>();
  for (const value of values) count.set(value, (count.get(value) ?? 0) + 1);
  return [...count].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
}
