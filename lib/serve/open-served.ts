import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { type ModelNames, type OpenedModel, openModel, resolveModelSource } from "../adapters/index.js";
import type { ServeConfig } from "../config/serve-schema.js";
import { type Engine, packageVersion } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { FetchOptions } from "../hub/index.js";

export interface Served extends OpenedModel {
  /** What clients call it. */
  name: string;
  /** Names the weights, this version and the machine's kernels, which together decide on the bits of an answer. */
  fingerprint: string;
  maxModelLen: number;
}

/** Loads the model, with its adapter, to answer only. */
export async function openServed(config: ServeConfig, fetching: FetchOptions): Promise<Served> {
  const source = await resolveModelSource(config, fetching);
  const opened = await openModel(source, { ...config, signal: fetching.signal });
  const { engine, model } = opened;
  try {
    return {
      ...opened,
      name: config.servedModelName ?? nameOf(config.model),
      fingerprint: fingerprintOf(source.names, engine, config.precision),
      maxModelLen: modelLength(config, model.info().maxPositionEmbeddings),
    };
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
