export { Decoder } from "./decoder.js";
export { Engine, type EngineOptions, type InitModelOptions, type LoadModelOptions } from "./engine.js";
export type { CallOptions } from "./guard.js";
export { addonPath, loadAddon, packageRoot, packageVersion } from "./load.js";
export {
  type AccumulateOptions,
  type GenerateOptions,
  type LogProbsOptions,
  Model,
  type SaveOptions,
  type StepOptions,
} from "./model.js";
export type * from "./native-loss-types.js";
export type * from "./native-types.js";
export { DEFAULT_SHARD_BYTES } from "./shards.js";
