import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { loraArgs, type ModelNames, openStoredAdapter, resolveModelSource } from "../adapters/index.js";
import type { ServeConfig } from "../config/serve-schema.js";
import { Engine, type Model, packageVersion } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { FetchOptions } from "../hub/index.js";
import { Processor } from "../processing/index.js";

export interface Served {
  engine: Engine;
  model: Model;
  processor: Processor;
  /** What clients call it. */
  name: string;
  /** Names the weights, this version and the machine's kernels, which together decide on the bits of an answer. */
  fingerprint: string;
  maxModelLen: number;
}

/** Loads the model, with its adapter, to answer only. */
export async function openServed(config: ServeConfig, fetching: FetchOptions): Promise<Served> {
  const { device, threads, isa, minPixels, maxPixels, alpha, precision, servedModelName } = config;
  const { signal } = fetching;
  const source = await resolveModelSource(config, fetching);
  const engine = await Engine.open({ device, threads, isa });
  try {
    const processor = await Processor.load(source.directory, engine, { minPixels, maxPixels, alpha });
    const stored = await openStoredAdapter(engine, source);
    const lora =
      stored === undefined ? null : { ...loraArgs(stored.spec, { weights: stored.weights, seed: 0 }), dropout: 0 };
    const model = await engine.loadModel(source.directory, { precision, train: "none", lora, signal });
    const maxModelLen = modelLength(config, model.info().maxPositionEmbeddings);
    const name = servedModelName ?? nameOf(config.model);
    return { engine, model, processor, name, fingerprint: fingerprintOf(source.names, engine, precision), maxModelLen };
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

/** A folder's own name: where it lies is nothing that clients have to know. */
function nameOf(model: string): string {
  return existsSync(model) ? basename(resolve(model)) : model;
}

function modelLength({ maxModelLen }: ServeConfig, positions: number): number {
  if (maxModelLen === undefined || maxModelLen <= positions) return maxModelLen ?? positions;
  throw new VlmR1Error("ERR_CONFIG", `max_model_len: expected at most the model's ${positions}, got ${maxModelLen}`);
}

function fingerprintOf(names: ModelNames, { device, isa }: Engine, precision: string): string {
  const text = JSON.stringify([packageVersion(), names, device, isa, precision]);
  return `fp_${createHash("sha256").update(text).digest("hex").slice(0, 12)}`;
}
