export { type AdapterModule, type AdapterSpec, adapterModule, loraArgs, rankRange } from "./adapter.js";
export {
  describeFolder,
  type ModelNames,
  type ModelSource,
  openStoredAdapter,
  resolveModelSource,
} from "./model-source.js";
export { type OpenedModel, type OpenModelOptions, openModel } from "./open-model.js";
export { matchModules, matchParameters } from "./patterns.js";
export { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "./peft-config.js";
export { readAdapter, type StoredAdapter } from "./read-adapter.js";
export {
  type AdapterIdentity,
  changedScales,
  checkAdapterTarget,
  saveAdapterFolder,
  writeAdapterFiles,
} from "./write-adapter.js";
