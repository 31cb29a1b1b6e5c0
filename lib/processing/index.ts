export { ChatTemplate, type RenderOptions } from "./chat-template.js";
export { dtypeOf, withDtype } from "./config-dtype.js";
export { type GenerationDefaults, loadGenerationDefaults, resolveSampling } from "./generation-config.js";
export { type DecodeImageOptions, decodeImage, type ImageSource, type RgbImage } from "./image.js";
export { type ContentPart, countImages, type Message, placeImages, splitMarkers } from "./messages.js";
export { type ModelConfig, readModelConfig, readModelConfigText } from "./model-config.js";
export { copyModelFiles, type ModelFolderOptions, prepareModelFolder, TOKENIZER_FILES } from "./model-folder.js";
export { DEFAULT_PIXELS, type ImageSettings, loadImageSettings } from "./preprocessor-config.js";
export {
  type ImageEngine,
  type Picture,
  Processor,
  type ProcessorOptions,
  type Prompt,
  type PromptOptions,
  type PromptSize,
} from "./processor.js";
export { refuseBeside, refuseFilled, replaceFolder, requireWritable, syncFolder } from "./replace-folder.js";
export { readSafetensorsHeader, type StoredTensor } from "./safetensors-header.js";
export { type ResizeLimits, smartResize } from "./smart-resize.js";
export type { StreamDecoder } from "./stream-decoder.js";
export { type DecodeOptions, Tokenizer } from "./tokenizer.js";
