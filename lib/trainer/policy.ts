import { resolve } from "node:path";
import {
  type AdapterIdentity,
  describeFolder,
  loraArgs,
  type ModelSource,
  matchParameters,
  readAdapter,
} from "../adapters/index.js";
import type { Engine, LoadModelOptions, Model, ModelInfo } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { Processor } from "../processing/index.js";
import type { RunPlan } from "./options.js";
import { ownModel, type Reference, sameModel } from "./reference.js";
import { listOf, resolveTrainable, type Trainable } from "./trainable.js";

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

/** Options that do not fit the model, before its weights are loaded. Throws `ERR_CONFIG`. */
function checkFit(
  { config: { stochasticRounding, precision, maxCompletionLength } }: RunPlan,
  { maxPositionEmbeddings }: ModelInfo,
  { train }: Pick<Trainable, "train">,
): void {
  if (maxCompletionLength >= maxPositionEmbeddings) {
    const message = `max_completion_length: expected less than the model's ${maxPositionEmbeddings} positions, which`;
    throw new VlmR1Error("ERR_CONFIG", `${message} hold the prompt too, got ${maxCompletionLength}`);
  }
  if (!stochasticRounding || (precision === "bf16" && train === "full")) return;
  const got = train === "full" ? `precision ${precision}` : "an adapter to train, whose weights are f32";
  throw new VlmR1Error("ERR_CONFIG", `stochastic_rounding: expected bf16 weights that are trained, got ${got}`, {
    hint:
      train === "full" ? "Set precision to bf16, or leave it out." : "Leave it out: an adapter takes little memory.",
  });
}

/** The model that is trained, and what it is compared with. */
export async function openPolicy(
  plan: RunPlan,
  source: ModelSource,
  engine: Engine,
  { signal, beforeLoading }: OpenPolicyOptions,
): Promise<Policy> {
  const { config } = plan;
  const { minPixels, maxPixels, alpha, precision, gradientCheckpointing, seed, optim, stochasticRounding } = config;
  const { directory, names } = source;
  const description = await describeFolder(engine, directory);
  const stored = source.adapter === undefined ? undefined : await readAdapter(source.adapter, description);
  const trainable = resolveTrainable({ ...config, adapter: source.adapter }, description, stored?.spec);
  checkFit(plan, description.info, trainable);
  const processor = await Processor.load(directory, engine, { minPixels, maxPixels, alpha });
  const common = { processor, maxTokensPerMicrobatch: await beforeLoading(processor) };
  const load: LoadModelOptions = {
    ...{ precision, gradientCheckpointing, stochasticRounding, signal },
    moments: optim === "adamw_8bit" ? "int8" : "f32",
    noDecay: matchParameters(description.parameters, listOf(config.weightDecayExclude), "weight_decay_exclude").map(
      ({ name }) => name,
    ),
  };
  if (trainable.train === "full") {
    const model = await engine.loadModel(directory, { ...load, train: "full", frozen: trainable.frozen });
    return { ...common, model, adapter: undefined, reference: await openReference(plan, engine, directory, signal) };
  }
  refuseSync(plan);
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

/** A second model, which stays as it is, or follows the policy. */
async function openReference(
  plan: RunPlan,
  engine: Engine,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<Reference | undefined> {
  if (plan.objective !== "grpo" || !needsReference(plan)) return undefined;
  const { precision, refPrecision, syncRefModel } = plan.config;
  const chosen = refPrecision === "auto" ? precision : refPrecision;
  const model = await engine.loadModel(directory, { precision: chosen, writable: syncRefModel, signal });
  return ownModel(model, syncRefModel);
}

function refuseSync(plan: RunPlan): void {
  if (plan.objective !== "grpo" || !plan.config.syncRefModel) return;
  throw new VlmR1Error(
    "ERR_CONFIG",
    "sync_ref_model cannot be used with LoRA, whose reference is the model without it",
    {
      hint: "Leave out sync_ref_model, or use_peft.",
    },
  );
}

function needsReference(plan: RunPlan): boolean {
  return plan.objective === "grpo" && plan.config.beta > 0;
}
