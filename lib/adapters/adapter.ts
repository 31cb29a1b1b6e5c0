import type { LoadModelArgs, ParameterDescription } from "../engine/index.js";
import { moduleOf } from "./patterns.js";

/** A linear layer with an adapter. */
export interface AdapterModule {
  /** As in published checkpoints. */
  name: string;
  /** As transformers names it in memory, and PEFT in files. */
  runtimeName: string;
  rank: number;
  alpha: number;
}

/** What an adapter is, its weights aside. */
export interface AdapterSpec {
  modules: AdapterModule[];
  /** Scale by alpha / √rank in place of alpha / rank. */
  useRslora: boolean;
  dropout: number;
}

export interface AdapterWeights {
  /** adapter_model.safetensors, or empty for a fresh adapter. */
  weights: string;
  /** Of a fresh adapter's random numbers. */
  seed: number;
  /** For a reference policy that is the adapter as it was loaded; false unless given. */
  keepStart?: boolean;
}

/** What the engine is told of an adapter. */
export function loraArgs(
  spec: AdapterSpec,
  { weights, seed, keepStart = false }: AdapterWeights,
): NonNullable<LoadModelArgs["lora"]> {
  const modules = spec.modules.map(({ name, rank, alpha }) => ({
    name,
    rank,
    scale: alpha / (spec.useRslora ? Math.sqrt(rank) : rank),
  }));
  return { modules, dropout: spec.dropout, seed, weights, keepStart };
}

/** A fresh adapter on some linear layers. */
export function adapterModule(linear: ParameterDescription, rank: number, alpha: number): AdapterModule {
  return { name: moduleOf(linear.name), runtimeName: moduleOf(linear.runtimeName), rank, alpha };
}

/** Least and greatest rank. */
export function rankRange({ modules }: AdapterSpec): [number, number] {
  const ranks = modules.map(({ rank }) => rank);
  return [ranks.reduce((a, b) => Math.min(a, b)), ranks.reduce((a, b) => Math.max(a, b))];
}
