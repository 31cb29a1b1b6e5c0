export {
  adapterField,
  engineFields,
  imageFields,
  maxNumSeqsField,
  maxShardSizeField,
  modelFields,
  profileField,
  samplingFields,
  seedField,
  TRACE_FILE,
} from "./common.js";
export { addConfigFlags, normaliseFlags, readCommandConfig, readConfigFile } from "./flags.js";
export { parseConfig, toFileConfig } from "./parse.js";
export { type Preset, presetNames, presets } from "./presets.js";
export { parseSize } from "./size.js";
