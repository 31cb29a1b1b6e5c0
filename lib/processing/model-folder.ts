import { copyFile, readdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { SaveDType } from "../engine/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { makeFolder } from "../files/index.js";
import { withDtype } from "./config-dtype.js";
import { readJson } from "./json-file.js";
import { loadImageSettings } from "./preprocessor-config.js";
import { refuseFilled } from "./replace-folder.js";
import { Tokenizer } from "./tokenizer.js";

/** What belongs to a model's folder beside config.json and the weights; further templates besides. */
export const TOKENIZER_FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.json",
  "generation_config.json",
  "preprocessor_config.json",
  "video_preprocessor_config.json",
  "processor_config.json",
];
/** `chat_template.jinja`, and those that tools name by a suffix. */
const TEMPLATE_FILE = /^chat_template.*\.jinja$/;
/** Where transformers keeps a model's templates other than the default one. */
const TEMPLATE_FOLDER = "additional_chat_templates";

export interface ModelFolderOptions {
  /**
   * A config.json's fields. Special-token ids are put in, and the vocabulary size where none is given or the given one
   * has no room for the tokenizer: published checkpoints have more rows than tokens.
   */
  config: Readonly<Record<string, unknown>>;
  /** Type of the weights that are to come, for config.json. */
  dtype?: SaveDType | undefined;
  /** Folder with the tokenizer and, where they are there, template and processor settings. */
  tokenizer: string;
  out: string;
  /** Write also where files lie already. */
  force?: boolean | undefined;
}

type Config = Record<string, unknown>;

/** Makes a model's folder without weights: tokenizer files and config.json. Returns the text of config.json. */
export async function prepareModelFolder(options: ModelFolderOptions): Promise<string> {
  const { tokenizer: from, out, dtype, force = false } = options;
  const tokenizer = await Tokenizer.load(from);
  const typed = dtype === undefined ? options.config : withDtype(options.config, dtype);
  const config = withTokenizer(structuredClone(typed), tokenizer);
  if (!force) await refuseFilled(out);
  await copyModelFiles(from, out);
  const text = `${JSON.stringify(config, null, 2)}\n`;
  await writeFile(join(out, "config.json"), text);
  await addMissingFiles(out, tokenizer, config);
  await nameProcessor(out, processorClass(config));
  return text;
}

/** Copies tokenizer, template and processor files; for folders that trained weights are saved to. */
export async function copyModelFiles(from: string, to: string): Promise<void> {
  if (resolve(from) === resolve(to)) return;
  try {
    await makeFolder(to);
  } catch (error) {
    throw fromSystem(error, "make the folder", to);
  }
  const names = await readdir(from);
  const wanted = names.filter((name) => TOKENIZER_FILES.includes(name) || TEMPLATE_FILE.test(name));
  for (const name of wanted) await copyFile(join(from, name), join(to, name));
  if (!names.includes(TEMPLATE_FOLDER)) return;
  await makeFolder(join(to, TEMPLATE_FOLDER));
  for (const name of await readdir(join(from, TEMPLATE_FOLDER))) {
    if (name.endsWith(".jinja")) await copyFile(join(from, TEMPLATE_FOLDER, name), join(to, TEMPLATE_FOLDER, name));
  }
}

const SPECIAL_TOKENS: readonly [field: string, token: string, needed: boolean][] = [
  ["image_token_id", "<|image_pad|>", true],
  ["video_token_id", "<|video_pad|>", false],
  ["vision_start_token_id", "<|vision_start|>", true],
  ["vision_end_token_id", "<|vision_end|>", true],
  ["vision_token_id", "<|vision_pad|>", false],
];

/** Vocabulary size and token ids of the tokenizer, in the flat and in the nested layout of config.json. */
function withTokenizer(base: Config, tokenizer: Tokenizer): Config {
  const ids: Config = {};
  for (const [field, token, needed] of SPECIAL_TOKENS) {
    const id = tokenizer.tokenId(token);
    if (id === undefined && needed) {
      throw new VlmR1Error("ERR_TOKENIZER", `the tokenizer has no ${token}, which the architecture needs`);
    }
    // The engine must never take an ordinary token for a video's.
    if (id !== undefined) ids[field] = id;
    else delete base[field];
  }
  const ends: Config = {
    eos_token_id: tokenizer.eosTokenId,
    bos_token_id: tokenizer.bosTokenId ?? tokenizer.padTokenId,
  };
  const text = (stated: Config): Config => ({ vocab_size: vocabularySize(stated, tokenizer), ...ends });
  const nested = base.text_config;
  if (typeof nested !== "object" || nested === null) return { ...base, ...ids, ...text(base) };
  return { ...base, ...ids, text_config: { ...nested, ...text(nested as Config) } };
}

function vocabularySize({ vocab_size: stated }: Config, { vocabSize }: Tokenizer): number {
  return typeof stated === "number" && stated >= vocabSize ? stated : vocabSize;
}

function processorClass({ model_type: type }: Config): string {
  return type === "qwen2_vl" ? "Qwen2VLProcessor" : "Qwen2_5_VLProcessor";
}

/** The tokenizer's folder may be another family's: transformers would take that one's processor. */
async function nameProcessor(out: string, name: string): Promise<void> {
  for (const file of ["preprocessor_config.json", "processor_config.json", "tokenizer_config.json"]) {
    const fields = await readJson(out, file, z.looseObject({ processor_class: z.string().nullish() }));
    if (typeof fields?.processor_class !== "string" || fields.processor_class === name) continue;
    await writeJson(join(out, file), { ...fields, processor_class: name });
  }
}

/** Loaders elsewhere want these two files; a bare tokenizer folder may lack them. */
async function addMissingFiles(out: string, tokenizer: Tokenizer, config: Config): Promise<void> {
  const there = new Set(await readdir(out));
  if (!there.has("preprocessor_config.json") && !there.has("processor_config.json")) {
    const settings = await loadImageSettings(out);
    await writeJson(join(out, "preprocessor_config.json"), {
      image_processor_type: "Qwen2VLImageProcessor",
      processor_class: processorClass(config),
      min_pixels: settings.minPixels,
      max_pixels: settings.maxPixels,
      patch_size: settings.patchSize,
      temporal_patch_size: settings.temporalPatchSize,
      merge_size: settings.mergeSize,
      image_mean: settings.mean,
      image_std: settings.std,
    });
  }
  if (!there.has("generation_config.json")) {
    const ends = [tokenizer.eosTokenId, tokenizer.padTokenId].filter((id) => id !== undefined);
    await writeJson(join(out, "generation_config.json"), {
      bos_token_id: config.bos_token_id,
      eos_token_id: [...new Set(ends)],
      pad_token_id: tokenizer.padTokenId,
    });
  }
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
}
