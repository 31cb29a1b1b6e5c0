import { readFile } from "node:fs/promises";
import type { Sharp } from "sharp";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { pictureFormat } from "./picture-format.js";
import { loadSharp } from "./sharp.js";

/** A picture's file, or its encoded bytes. */
export type ImageSource = string | Uint8Array;

export interface DecodeImageOptions {
  /**
   * Transparent pictures: paste them on white (the default), or drop the alpha channel as transformers does. A GIF's
   * transparent pixels have no colour of their own: without alpha they are black.
   */
  alpha?: "white" | "drop" | undefined;
  /** How the picture is called in messages; a path stands for itself. */
  name?: string | undefined;
}

export interface RgbImage {
  /** 8 bit, `height × width × 3`. */
  rgb: Uint8Array;
  width: number;
  height: number;
}

/** As Pillow: what claims to be larger is taken for an attack on memory. */
export const MAX_DECODED_PIXELS = 178_956_970;

/**
 * Decodes a JPEG, PNG, WebP, GIF, TIFF or AVIF picture to the pixels that Pillow gives: the colour profile is ignored,
 * the EXIF orientation applied, and of an animation the first frame taken. 16 bits are cut to the high byte, also in
 * grey pictures, which Pillow turns white.
 */
export async function decodeImage(source: ImageSource, options: DecodeImageOptions = {}): Promise<RgbImage> {
  const name = options.name ?? (typeof source === "string" ? source : "the picture");
  const bytes = typeof source === "string" ? await readBytes(source) : source;
  rejectKnownMistakes(bytes, name);
  const sharp = await loadSharp();
  try {
    const picture = sharp(bytes, { ignoreIcc: true, failOn: "error", limitInputPixels: MAX_DECODED_PIXELS });
    const { space, format } = await picture.metadata();
    if (!DECODED.has(format)) throw unsupported(name, format.toUpperCase());
    if (space === "cmyk") return await decodeCmyk(picture);
    const oriented = picture.autoOrient().toColourspace("srgb");
    const { data, info } = await oriented.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    const onWhite = options.alpha !== "drop";
    return { rgb: toRgb(data, info.channels, onWhite), width: info.width, height: info.height };
  } catch (error) {
    throw decodeError(error, bytes, name);
  }
}

/** Width and height that `decodeImage` would give, by the picture's header. */
export async function imageSize(source: ImageSource): Promise<{ width: number; height: number }> {
  const name = typeof source === "string" ? source : "the picture";
  const bytes = typeof source === "string" ? await readBytes(source) : source;
  rejectKnownMistakes(bytes, name);
  const sharp = await loadSharp();
  try {
    const { autoOrient } = await sharp(bytes, { limitInputPixels: MAX_DECODED_PIXELS }).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  } catch (error) {
    throw decodeError(error, bytes, name);
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fromSystem(error, "read the picture", path);
  }
}

const FORMATS = "Known formats: JPEG, PNG, WebP, GIF, TIFF, AVIF.";
/** In sharp's words; "heif" is AVIF here, as its binaries know no HEIC. */
const DECODED: ReadonlySet<string> = new Set(["jpeg", "png", "webp", "gif", "tiff", "heif"]);

/** What people have under a picture's name, said in so many words. */
function rejectKnownMistakes(bytes: Uint8Array, name: string): void {
  if (bytes.length === 0) throw new VlmR1Error("ERR_IMAGE", `${name}: the file is empty`);
  const start = Buffer.from(bytes.subarray(0, 1024)).toString("latin1");
  const text = start
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart()
    .toLowerCase();
  if (text.startsWith("<!doctype html") || text.startsWith("<html")) {
    throw new VlmR1Error("ERR_IMAGE", `${name}: it is a web page (HTML), not a picture`, {
      hint: "The download probably got an error page; fetch the picture again.",
    });
  }
  if (start.startsWith("BM")) throw unsupported(name, "BMP");
  // Drawn by a renderer, it has no pixels of its own, and could name files and addresses to read.
  if (text.startsWith("<") && text.includes("<svg")) throw unsupported(name, "SVG");
  if (start.slice(4, 8) === "ftyp" && /hei[cxms]|hev[cxms]/.test(brands(start))) throw unsupported(name, "HEIC");
}

/** Of an ISO media file: which kinds of file it says it is. */
function brands(start: string): string {
  const length = start.charCodeAt(2) * 256 + start.charCodeAt(3);
  return start.slice(8, length);
}

function unsupported(name: string, format: string): VlmR1Error {
  return new VlmR1Error("ERR_IMAGE", `${name}: ${format} pictures are not supported`, {
    hint: `Convert it, for example to PNG. ${FORMATS}`,
  });
}

function decodeError(error: unknown, bytes: Uint8Array, name: string): VlmR1Error {
  if (error instanceof VlmR1Error) return error;
  const message = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  if (/unsupported image format/i.test(message) && pictureFormat(bytes) === undefined) {
    return new VlmR1Error("ERR_IMAGE", `${name}: not a picture in a known format`, { ...options, hint: FORMATS });
  }
  if (/pixel limit/i.test(message)) {
    const limit = `more than ${Math.floor(MAX_DECODED_PIXELS / 1e6)} million pixels`;
    return new VlmR1Error("ERR_IMAGE", `${name}: ${limit} are not decoded (${message})`, {
      ...options,
      hint: "Make the picture smaller: the model sees at most max_pixels of it.",
    });
  }
  const firstLine = message.split("\n")[0]?.replace(/:\s*$/, "");
  return new VlmR1Error("ERR_IMAGE", `${name}: damaged or truncated (${firstLine})`, {
    ...options,
    hint: "Fetch or export the picture again.",
  });
}

/** Pillow's conversion from the four inks; libvips would go through a colour profile. */
async function decodeCmyk(picture: Sharp): Promise<RgbImage> {
  const inks = picture.autoOrient().pipelineColourspace("cmyk").toColourspace("cmyk");
  const { data, info } = await inks.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  const pixels = info.width * info.height;
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const white = 255 - byteAt(data, i * info.channels + 3);
    for (let c = 0; c < 3; c++) {
      rgb[i * 3 + c] = Math.max(0, white - divide255(byteAt(data, i * info.channels + c) * white));
    }
  }
  return { rgb, width: info.width, height: info.height };
}

function toRgb(data: Uint8Array, channels: number, onWhite: boolean): Uint8Array {
  if (channels === 3) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const pixels = data.length / channels;
  const colours = channels >= 3 ? 3 : 1;
  const hasAlpha = channels === 2 || channels === 4;
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const alpha = hasAlpha && onWhite ? byteAt(data, i * channels + colours) : 255;
    for (let c = 0; c < 3; c++) {
      const value = byteAt(data, i * channels + (colours === 3 ? c : 0));
      rgb[i * 3 + c] = alpha === 255 ? value : divide255(value * alpha + 255 * (255 - alpha));
    }
  }
  return rgb;
}

/** Pillow's division by 255: rounded, in integers. */
function divide255(value: number): number {
  const shifted = value + 128;
  return ((shifted >> 8) + shifted) >> 8;
}

function byteAt(data: Uint8Array, index: number): number {
  return data[index] as number;
}
