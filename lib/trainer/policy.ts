import { resolve } from "node:path";
import { type AdapterIdentity, describeFolder, loraArgs, type ModelSource, readAdapter } from "../adapters/index.js";
import type { Engine, Model } from "../engine/index.js";
import { Processor } from "../processing/index.js";
import type { RunPlan } from "./options.js";
import { type Reference, sameModel } from "./reference.js";
import { resolveTrainable } from "./trainable.js";

export interface Policy {
  processor: Processor;
  model: Model;
  /** The adapter that is trained; undefined where the model's own weights are. */
  adapter: AdapterIdentity | undefined;
  /** Where the objective needs one. */
  reference: Reference | undefined;
  /** Packed tokens of a micro-batch: as configured, as chosen, or as the run began. */
  maxTokensPerMicrobatch: number;
}

export interface OpenPolicyOptions {
  signal: AbortSignal | undefined;
  /** Called with all that is cheap at hand, and the weights still to be loaded; gives the tokens of a micro-batch. */
  beforeLoading: (processor: Processor) => Promise<number>;
}

/** The model that is trained, and what it is compared with. */
export async function openPolicy(
  plan: RunPlan,
  source: ModelSource,
  engine: Engine,
  { signal, beforeLoading }: OpenPolicyOptions,
): Promise<Policy> {
  const { config } = plan;
  const { minPixels, maxPixels, alpha, precision, gradientCheckpointing, seed } = config;
  const { directory, names } = source;
  const description = await describeFolder(engine, directory);
  const stored = source.adapter === undefined ? undefined : await readAdapter(source.adapter, description);
  const trainable = resolveTrainable({ ...config, adapter: source.adapter }, description, stored?.spec);
  const processor = await Processor.load(directory, engine, { minPixels, maxPixels, alpha });
  const common = { processor, maxTokensPerMicrobatch: await beforeLoading(processor) };
  const load = { precision, gradientCheckpointing, signal };
  if (trainable.train === "full") {
    const model = await engine.loadModel(directory, { ...load, train: "full", frozen: trainable.frozen });
    const reference = needsReference(plan) ? await engine.loadModel(directory, { precision, signal }) : undefined;
    return { ...common, model, adapter: undefined, reference };
  }
  const { adapter: spec } = trainable;
  // An adapter that is there is part of what the run starts from, as in TRL; a fresh one starts as nothing.
  const keepStart = needsReference(plan) && stored !== undefined;
  const lora = loraArgs(spec, { weights: stored?.weights ?? "", seed, keepStart });
  const model = await engine.loadModel(directory, { ...load, train: "lora", lora });
  const baseModel = names.revision === undefined ? resolve(directory) : names.model;
  const adapter = { spec, description, baseModel, baseRevision: names.revision };
  if (!needsReference(plan)) return { ...common, model, adapter, reference: undefined };
  return { ...common, model, adapter, reference: sameModel(model, keepStart ? "start" : "off") };
}

function needsReference(plan: RunPlan): boolean {
  return plan.objective === "grpo" && plan.config.beta > 0;
}
