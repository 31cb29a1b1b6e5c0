import { type AdapterSpec, adapterModule, matchModules, matchParameters } from "../adapters/index.js";
import { toSnake } from "../config/names.js";
import type { RunConfig } from "../config/train-schema.js";
import type { ModelDescription, ParameterDescription } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";

/** What a run trains. */
export type Trainable =
  | { train: "full" /** Published names of parameters that stay as they are. */; frozen: string[] }
  | { train: "lora"; adapter: AdapterSpec };

export type TrainableConfig = Pick<
  RunConfig,
  | "adapter"
  | "usePeft"
  | "loraR"
  | "loraAlpha"
  | "loraDropout"
  | "loraTargetModules"
  | "useRslora"
  | "loraVision"
  | "loraMerger"
  | "freezeVisionModules"
  | "freezeMerger"
  | "freezePatterns"
  | "trainablePatterns"
  | "saveModelTo"
  | "saveMergedTo"
>;

type Field = keyof TrainableConfig;

/** All that says which adapter to make. */
const LORA: readonly Field[] = ["loraR", "loraAlpha", "loraTargetModules", "useRslora", "loraVision", "loraMerger"];
/** All that says which weights to train. */
const WEIGHTS: readonly Field[] = ["freezeMerger", "freezePatterns", "trainablePatterns"];
const DEFAULTS = { rank: 16, alpha: 32, dropout: 0 };
const ALL_LINEAR = "all-linear";
const FIELD = "lora_target_modules";
/** The output layer, as published and in memory. It is no part of "all linear layers", as in PEFT. */
const HEAD = "lm_head.weight";

/**
 * What is trained, from the options and the model's parameters alone: the whole model, parts of it, a fresh adapter, or
 * the one that `stored` holds. Options that cannot be meant together throw `ERR_CONFIG`.
 */
export function resolveTrainable(
  config: TrainableConfig,
  description: ModelDescription,
  stored: AdapterSpec | undefined,
): Trainable {
  if (!usesLora(config)) return { train: "full", frozen: frozenParameters(config, description.parameters) };
  const given = namesOf(config, WEIGHTS);
  if (given.length > 0) {
    throw conflict(
      `${given.join(", ")} cannot be used with LoRA, which trains an adapter and no weights`,
      "Choose the adapter's layers with lora_target_modules, lora_vision and lora_merger.",
    );
  }
  if (config.saveMergedTo !== undefined && config.saveMergedTo === config.saveModelTo) {
    throw conflict("save_model_to and save_merged_to are the same folder", "The adapter and the model need one each.");
  }
  if (stored !== undefined) return { train: "lora", adapter: goOn(config, stored) };
  return { train: "lora", adapter: freshAdapter(config, description) };
}

function usesLora(config: TrainableConfig): boolean {
  if (config.usePeft ?? config.adapter !== undefined) return true;
  if (config.adapter !== undefined) {
    throw conflict(
      "adapter is given, but use_peft is false",
      "Leave use_peft out to train the adapter, or merge it first (vlmr1-native merge-adapter) to train all weights.",
    );
  }
  const given = namesOf(config, [...LORA, "loraDropout", "saveMergedTo"]);
  if (given.length === 0) return false;
  throw conflict(`${given.join(", ")} needs use_peft`, "Add --use-peft to train an adapter, or leave it out.");
}

function goOn(config: TrainableConfig, stored: AdapterSpec): AdapterSpec {
  const given = namesOf(config, LORA);
  if (given.length > 0) {
    throw conflict(
      `${given.join(", ")} cannot be chosen for an adapter that is there`,
      "Leave out what is named: the adapter has settings of its own.",
    );
  }
  return { ...stored, dropout: config.loraDropout ?? stored.dropout };
}

function freshAdapter(config: TrainableConfig, { parameters }: ModelDescription): AdapterSpec {
  const rank = config.loraR ?? DEFAULTS.rank;
  const alpha = config.loraAlpha ?? DEFAULTS.alpha;
  const layers = targetLayers(
    config,
    parameters.filter(({ linear }) => linear),
  );
  return {
    modules: layers.map((layer) => adapterModule(layer, rank, alpha)),
    useRslora: config.useRslora ?? false,
    dropout: config.loraDropout ?? DEFAULTS.dropout,
  };
}

/**
 * Unless told otherwise the layers of the language model. Patterns may name others, as in PEFT; `lora_vision` and
 * `lora_merger` say whether they are then meant.
 */
function targetLayers(config: TrainableConfig, linear: ParameterDescription[]): ParameterDescription[] {
  const { loraTargetModules, loraVision, loraMerger, freezeVisionModules } = config;
  if (freezeVisionModules && (loraVision === true || loraMerger === true)) {
    throw conflict("freeze_vision_modules and lora_vision or lora_merger cannot both be true", "Leave one out.");
  }
  const patterns = listOf(loraTargetModules);
  const byPattern = patterns.length > 0;
  const all = !byPattern || patterns.includes(ALL_LINEAR);
  const matched = all ? linear.filter(({ name }) => name !== HEAD) : matchModules(linear, patterns, FIELD);
  const others = byPattern && !freezeVisionModules;
  const wanted = { language: true, vision: loraVision ?? others, merger: loraMerger ?? others };
  const layers = matched.filter(({ part }) => wanted[part]);
  for (const [field, part, asked] of [
    ["lora_vision", "vision", loraVision],
    ["lora_merger", "merger", loraMerger],
  ] as const) {
    if (asked !== true || layers.some((layer) => layer.part === part)) continue;
    throw conflict(`${field} is true, but ${FIELD} matches no layer there`, `Add layers to ${FIELD}, or leave it out.`);
  }
  if (layers.length > 0) return layers;
  throw conflict("there is no linear layer to adapt", `Widen ${FIELD}, lora_vision or lora_merger.`);
}

function frozenParameters(config: TrainableConfig, parameters: readonly ParameterDescription[]): string[] {
  const { freezeVisionModules, freezeMerger = freezeVisionModules } = config;
  const frozen = new Set(
    parameters.filter(({ part }) => (part === "vision" && freezeVisionModules) || (part === "merger" && freezeMerger)),
  );
  const freeze = listOf(config.freezePatterns);
  for (const parameter of matchParameters(parameters, freeze, "freeze_patterns")) frozen.add(parameter);
  const only = listOf(config.trainablePatterns);
  if (only.length > 0) {
    const trained = new Set(matchParameters(parameters, only, "trainable_patterns"));
    for (const parameter of parameters) if (!trained.has(parameter)) frozen.add(parameter);
  }
  if (frozen.size === parameters.length) {
    throw conflict("all parameters are frozen: there is nothing left to train", "Freeze less, or use LoRA.");
  }
  return parameters.filter((parameter) => frozen.has(parameter)).map(({ name }) => name);
}

function namesOf(config: TrainableConfig, fields: readonly Field[]): string[] {
  return fields.filter((field) => config[field] !== undefined).map(toSnake);
}

/** Patterns as they may be given: none, one, several. */
export function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === "string" ? [value] : value;
}

function conflict(message: string, hint: string): VlmR1Error {
  return new VlmR1Error("ERR_CONFIG", message, { hint });
}
