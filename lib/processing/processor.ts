import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { z } from "zod";
import type { CallOptions, NativeImage, NativePrompt, ProcessImageArgs } from "../engine/index.js";
import { fromSystem, throwIfAborted, VlmR1Error } from "../errors/index.js";
import { span, spanSync } from "../report/spans.js";
import { ChatTemplate } from "./chat-template.js";
import { type GenerationDefaults, loadGenerationDefaults } from "./generation-config.js";
import { decodeImage, type ImageSource, imageSize } from "./image.js";
import { ByteCache } from "./image-cache.js";
import { readJson } from "./json-file.js";
import { countImages, type Message } from "./messages.js";
import { type ImageSettings, loadImageSettings } from "./preprocessor-config.js";
import { smartResize } from "./smart-resize.js";
import { Tokenizer } from "./tokenizer.js";
import { Turns } from "./turns.js";

/** What the processor needs of an engine. */
export interface ImageEngine {
  /** As many pictures are decoded at a time; one where it is not said. */
  readonly threads?: number | undefined;
  processImage(args: ProcessImageArgs, options?: CallOptions): Promise<NativeImage>;
}

export interface ProcessorOptions {
  /** Over the model's own limits. */
  minPixels?: number | undefined;
  maxPixels?: number | undefined;
  alpha?: "white" | "drop" | undefined;
  /** Memory for pictures that were processed before; 256 MiB unless given. */
  cacheBytes?: number | undefined;
}

/** A picture as the model sees it. */
export interface Picture {
  image: NativeImage;
  /** Before and after the resize. */
  width: number;
  height: number;
  resizedWidth: number;
  resizedHeight: number;
  /** Image-pad tokens that stand for it. */
  tokens: number;
}

/** A prompt ready for the engine, with what it was made from. */
export interface Prompt extends NativePrompt {
  /** The rendered template, one image mark per picture. */
  text: string;
  pictures: Picture[];
}

export interface PromptOptions extends CallOptions {
  /** End with the start of the assistant's turn; true unless given. */
  addGenerationPrompt?: boolean | undefined;
}

/** What a prompt takes, before pictures are resized. */
export interface PromptSize {
  /** Tokens beside those that stand for pictures. */
  textTokens: number;
  pictures: { width: number; height: number }[];
}

interface Parts {
  tokenizer: Tokenizer;
  template: ChatTemplate;
  generation: GenerationDefaults;
  images: ImageSettings;
  imageTokenId: number | undefined;
  engine: ImageEngine;
  alpha: "white" | "drop";
  cacheBytes: number;
}

const ModelFile = z.looseObject({ image_token_id: z.int().optional() });
const IMAGE_PAD = "<|image_pad|>";
const ON_DATA = { track: "data" } as const;
const DEFAULT_CACHE_BYTES = 256 * 1024 * 1024;

/** Turns messages and pictures into what a model reads. One per model folder; its picture cache is shared by all calls. */
export class Processor {
  /** Decoding, which is done beside the engine and takes no more threads than it does. */
  readonly decoding: Turns;
  private readonly cache: ByteCache<Picture>;
  private endOfTurn: number | null | undefined;

  private constructor(private readonly parts: Parts) {
    this.decoding = new Turns(Math.max(1, parts.engine.threads ?? 1));
    this.cache = new ByteCache(parts.cacheBytes, ({ image }) => image.pixelValues.byteLength);
  }

  /** Reads tokenizer, chat template, image and generation settings of a Hugging Face folder. */
  static async load(directory: string, engine: ImageEngine, options: ProcessorOptions = {}): Promise<Processor> {
    const tokenizer = await Tokenizer.load(directory);
    const template = await ChatTemplate.load(directory, tokenizer);
    const generation = await loadGenerationDefaults(directory, tokenizer);
    const settings = await loadImageSettings(directory);
    const { minPixels = settings.minPixels, maxPixels = settings.maxPixels } = options;
    if (minPixels > maxPixels) {
      throw new VlmR1Error("ERR_CONFIG", `min_pixels (${minPixels}) is more than max_pixels (${maxPixels})`);
    }
    const imageTokenId =
      (await readJson(directory, "config.json", ModelFile))?.image_token_id ?? tokenizer.tokenId(IMAGE_PAD);
    const images = { ...settings, minPixels, maxPixels };
    const { alpha = "white", cacheBytes = DEFAULT_CACHE_BYTES } = options;
    return new Processor({ tokenizer, template, generation, images, imageTokenId, engine, alpha, cacheBytes });
  }

  get tokenizer(): Tokenizer {
    return this.parts.tokenizer;
  }

  get template(): ChatTemplate {
    return this.parts.template;
  }

  get generation(): GenerationDefaults {
    return this.parts.generation;
  }

  get imageSettings(): ImageSettings {
    return this.parts.images;
  }

  /** Renders, tokenizes, and puts as many image tokens in place of each mark as its picture needs. */
  async prompt(
    messages: readonly Message[],
    images: readonly ImageSource[] = [],
    options: PromptOptions = {},
  ): Promise<Prompt> {
    const { text, ids } = spanSync("tokenization", () => this.render(messages, images.length, options), ON_DATA);
    const pictures = await Promise.all(images.map((source) => this.picture(source, options)));
    return { tokens: this.expand(ids, pictures), images: pictures.map(({ image }) => image), text, pictures };
  }

  /** How large `prompt` would be. Pictures are not decoded; `sizeOf` may know their sizes from before. */
  async measure(
    messages: readonly Message[],
    images: readonly ImageSource[] = [],
    sizeOf: typeof imageSize = imageSize,
  ): Promise<PromptSize> {
    const { ids } = this.render(messages, images.length, {});
    const pictures = await Promise.all(images.map((source) => sizeOf(source)));
    return { textTokens: ids.length - pictures.length, pictures };
  }

  private render(messages: readonly Message[], images: number, options: PromptOptions) {
    const wanted = countImages(messages);
    if (wanted !== images) {
      throw new VlmR1Error("ERR_DATA", `the messages hold ${wanted} image parts, but ${images} pictures were given`);
    }
    const text = this.template.render(messages, { addGenerationPrompt: options.addGenerationPrompt ?? true });
    const ids = this.tokenizer.encode(text);
    const marks = ids.filter((id) => id === this.parts.imageTokenId).length;
    if (marks !== images) {
      throw new VlmR1Error("ERR_DATA", `the rendered prompt holds ${marks} image marks for ${images} pictures`, {
        hint: marks > images ? `Texts must not contain ${IMAGE_PAD}.` : "The chat template does not support pictures.",
      });
    }
    return { text, ids };
  }

  /** Tokens of an answer by itself, then the end-of-turn token where the template writes one. */
  answerTokens(answer: string): Int32Array {
    const ids = this.tokenizer.encode(answer);
    const end = this.endOfTurnToken();
    return Int32Array.from(end === undefined ? ids : [...ids, end]);
  }

  /** The special token that the template writes straight after an answer. */
  endOfTurnToken(): number | undefined {
    if (this.endOfTurn === undefined) {
      const [first] = this.tokenizer.encode(this.template.afterAnswer());
      this.endOfTurn = first !== undefined && this.tokenizer.isSpecial(first) ? first : null;
    }
    return this.endOfTurn ?? undefined;
  }

  /** Decodes and processes one picture; a file's result is kept while the file does not change. */
  async picture(source: ImageSource, { signal }: CallOptions = {}): Promise<Picture> {
    throwIfAborted(signal);
    if (typeof source !== "string") return span("picture", () => this.makePicture(source, signal), ON_DATA);
    const path = resolve(source);
    // Callers share the result, so one caller's signal must not end the work of the others.
    const picture = await this.cache.get(await fileKey(path), () =>
      span("picture", () => this.makePicture(source, undefined), ON_DATA),
    );
    throwIfAborted(signal);
    return picture;
  }

  private async makePicture(source: ImageSource, signal: AbortSignal | undefined): Promise<Picture> {
    const { images, engine, alpha } = this.parts;
    const { rgb, width, height } = await this.decoding.take(() => decodeImage(source, { alpha }));
    const { minPixels, maxPixels, ...settings } = images;
    const resized = resizedSize(source, width, height, images);
    const args = { rgb, width, height, resizedWidth: resized.width, resizedHeight: resized.height, ...settings };
    const image = await engine.processImage(args, { signal });
    const [t, h, w] = image.grid;
    const tokens = (t * h * w) / images.mergeSize ** 2;
    return { image, width, height, resizedWidth: resized.width, resizedHeight: resized.height, tokens };
  }

  private expand(ids: readonly number[], pictures: readonly Picture[]): Int32Array {
    const { imageTokenId } = this.parts;
    const extra = pictures.reduce((sum, { tokens }) => sum + tokens - 1, 0);
    const out = new Int32Array(ids.length + extra);
    let at = 0;
    let next = 0;
    for (const id of ids) {
      const count = id === imageTokenId ? (pictures[next++]?.tokens ?? 0) : 1;
      out.fill(id, at, at + count);
      at += count;
    }
    return out;
  }
}

function resizedSize(source: ImageSource, width: number, height: number, images: ImageSettings) {
  const { patchSize, mergeSize, minPixels, maxPixels } = images;
  try {
    return smartResize(width, height, { factor: patchSize * mergeSize, minPixels, maxPixels });
  } catch (error) {
    if (typeof source !== "string" || !(error instanceof VlmR1Error)) throw error;
    throw new VlmR1Error(error.code, `${source}: ${error.message}`, { cause: error });
  }
}

async function fileKey(path: string): Promise<string> {
  try {
    const found = await stat(path);
    // Reading a pipe waits for whoever writes to it, and cannot be broken off; a device may have no end.
    if (!found.isFile() && !found.isDirectory()) throw notAFile(path);
    const { mtimeMs, size } = found;
    return `${path}\0${mtimeMs}\0${size}`;
  } catch (error) {
    throw fromSystem(error, "read the picture", path);
  }
}

function notAFile(path: string): VlmR1Error {
  return new VlmR1Error("ERR_IMAGE", `${path}: it is a pipe or a device, not a file`, {
    hint: "Write the picture to a file first.",
  });
}
