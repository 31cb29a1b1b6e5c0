import { join } from "node:path";
import type { ModelDescription, ParameterDescription } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { readSafetensorsHeader, type StoredTensor } from "../processing/index.js";
import { type AdapterModule, type AdapterSpec, adapterModule } from "./adapter.js";
import { compileExpression, moduleNames } from "./patterns.js";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, readPeftConfig } from "./peft-config.js";

export interface StoredAdapter {
  spec: AdapterSpec;
  /** Path of adapter_model.safetensors. */
  weights: string;
}

/** Both matrices of one layer, under the name that the file gives it. */
interface Pair {
  A?: StoredTensor;
  B?: StoredTensor;
}

/** `….q_proj.lora_A.weight`; a state dict of a live PEFT model has its adapter's name in between. */
const KEY = /^base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight$/;
const LISTED = 8;
const WHOLE = "An adapter's folder holds adapter_config.json and adapter_model.safetensors.";

/**
 * Reads what PEFT has saved: which layers the file adapts, their ranks by the matrices' shapes, their scales by the
 * configuration. Whatever does not fit the model is named.
 */
export async function readAdapter(directory: string, model: ModelDescription): Promise<StoredAdapter> {
  const config = await readPeftConfig(directory);
  const weights = join(directory, ADAPTER_WEIGHTS);
  const pairs = pairsOf(await readSafetensorsHeader(weights, WHOLE), weights);
  const found = findLayers(model, [...pairs.keys()], weights);
  const path = join(directory, ADAPTER_CONFIG);
  const alphaOf = byPattern(config.alpha_pattern, config.lora_alpha, `${path}: alpha_pattern`);
  const rankOf = byPattern(config.rank_pattern, config.r, `${path}: rank_pattern`);
  const modules = found.map(({ layer, stored }) => {
    const module = readModule(layer, pairs.get(stored) as Pair, alphaOf(stored), `${weights}: ${stored}`);
    // PEFT makes its matrices by the configuration and then fills them: where the two differ it fails.
    const expected = rankOf(stored);
    if (expected === module.rank) return module;
    throw misfit(path, `says rank ${expected} for ${stored}, the weights have ${module.rank}`);
  });
  return { spec: { modules, useRslora: config.use_rslora, dropout: config.lora_dropout }, weights };
}

function pairsOf(tensors: ReadonlyMap<string, StoredTensor>, path: string): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  const others: string[] = [];
  for (const [key, tensor] of tensors) {
    const [, module = "", which] = KEY.exec(key) ?? [];
    if (which === undefined) {
      others.push(key);
      continue;
    }
    const pair = pairs.get(module) ?? {};
    if (pair[which as "A" | "B"] !== undefined) throw misfit(path, `lora_${which} of ${module} is there twice`);
    pairs.set(module, { ...pair, [which]: tensor });
  }
  if (others.length > 0) {
    const list = others.slice(0, LISTED).join(", ");
    throw misfit(path, `only lora_A and lora_B of linear layers are supported, got ${list}`);
  }
  if (pairs.size === 0) throw misfit(path, "there is not a single tensor");
  return pairs;
}

/** The layers that a file adapts, in the model's order; a file may call them as published or as in memory. */
function findLayers({ parameters }: ModelDescription, stored: readonly string[], path: string) {
  const left = new Set(stored);
  const found = parameters.flatMap((layer) => {
    if (!layer.linear) return [];
    const [name, again] = [...new Set(moduleNames(layer))].filter((one) => left.has(one));
    if (name === undefined) return [];
    if (again !== undefined) throw misfit(path, `${name} and ${again} are the same layer`);
    left.delete(name);
    return [{ layer, stored: name }];
  });
  if (left.size === 0) return found;
  throw misfit(path, `no linear layers of the model: ${[...left].slice(0, LISTED).join(", ")}`);
}

function readModule(layer: ParameterDescription, { A, B }: Pair, alpha: number, label: string): AdapterModule {
  if (A === undefined || B === undefined) {
    throw misfit(label, `lora_${A === undefined ? "A" : "B"} is missing`);
  }
  const [out, width] = layer.shape as [number, number];
  const rank = A.shape[0] ?? 0;
  if (rank < 1 || String(A.shape) !== String([rank, width])) {
    throw misfit(label, `expected lora_A [rank, ${width}], got [${A.shape.join(", ")}]`);
  }
  if (String(B.shape) !== String([out, rank])) {
    throw misfit(label, `expected lora_B [${out}, ${rank}], got [${B.shape.join(", ")}]`);
  }
  return adapterModule(layer, rank, alpha);
}

/** PEFT's rule: the first pattern that matches the name's end, as a regular expression. */
function byPattern(
  patterns: Record<string, number> | null | undefined,
  other: number,
  label: string,
): (name: string) => number {
  const compiled = Object.entries(patterns ?? {}).map(
    ([key, value]) => [compileExpression(key, `${label}: "${key}"`, "(?:.*\\.)?"), value] as const,
  );
  return (name) => compiled.find(([pattern]) => pattern.test(name))?.[1] ?? other;
}

function misfit(path: string, reason: string): VlmR1Error {
  return new VlmR1Error("ERR_MODEL", `${path}: ${reason}`, {
    hint: "Check that the adapter was made for this model, and that its folder is whole.",
  });
}
