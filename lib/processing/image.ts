import { readFile } from "node:fs/promises";
import type { Sharp } from "sharp";
import { fromSystem, VlmR1Error } from "../errors/index.js";

/** A picture's file, or its encoded bytes. */
export type ImageSource = string | Uint8Array;

export interface DecodeImageOptions {
  /** Transparent pictures: paste them on white (the default), or drop the alpha channel as transformers does. */
  alpha?: "white" | "drop";
  /** How the picture is called in messages; a path stands for itself. */
  name?: string;
}

export interface RgbImage {
  /** 8 bit, `height × width × 3`. */
  rgb: Uint8Array;
  width: number;
  height: number;
}

/**
 * Decodes a JPEG, PNG, WebP, GIF, TIFF or AVIF picture to the pixels that Pillow gives: the colour profile is ignored,
 * the EXIF orientation applied, 16 bits cut to the high byte, and of an animation the first frame taken.
 */
export async function decodeImage(source: ImageSource, options: DecodeImageOptions = {}): Promise<RgbImage> {
  const name = options.name ?? (typeof source === "string" ? source : "the picture");
  const bytes = typeof source === "string" ? await readBytes(source) : source;
  rejectKnownMistakes(bytes, name);
  const sharp = await loadSharp();
  try {
    const picture = sharp(bytes, { ignoreIcc: true, failOn: "error" });
    const { space } = await picture.metadata();
    if (space === "cmyk") return await decodeCmyk(picture);
    const oriented = picture.autoOrient().toColourspace("srgb");
    const { data, info } = await oriented.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    const onWhite = options.alpha !== "drop";
    return { rgb: toRgb(data, info.channels, onWhite), width: info.width, height: info.height };
  } catch (error) {
    throw decodeError(error, name);
  }
}

/** On first use, so that what needs no pictures runs where sharp's binary is missing. */
async function loadSharp(): Promise<typeof import("sharp")["default"]> {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    throw new VlmR1Error("ERR_ADDON", `sharp, which decodes pictures, does not load: ${(cause as Error).message}`, {
      hint: "Reinstall it with: npm install --include=optional sharp",
      cause,
    });
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

/** What people have under a picture's name, said in so many words. */
function rejectKnownMistakes(bytes: Uint8Array, name: string): void {
  if (bytes.length === 0) throw new VlmR1Error("ERR_IMAGE", `${name}: the file is empty`);
  if (bytes[0] === 0x42 && bytes[1] === 0x4d) {
    throw new VlmR1Error("ERR_IMAGE", `${name}: BMP pictures are not supported`, {
      hint: `Convert it, for example to PNG. ${FORMATS}`,
    });
  }
  const start = Buffer.from(bytes.subarray(0, 512)).toString("latin1").trimStart().toLowerCase();
  if (start.startsWith("<!doctype html") || start.startsWith("<html")) {
    throw new VlmR1Error("ERR_IMAGE", `${name}: it is a web page (HTML), not a picture`, {
      hint: "The download probably got an error page; fetch the picture again.",
    });
  }
}

function decodeError(error: unknown, name: string): VlmR1Error {
  if (error instanceof VlmR1Error) return error;
  const message = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  if (/unsupported image format/i.test(message)) {
    return new VlmR1Error("ERR_IMAGE", `${name}: not a picture in a known format`, { ...options, hint: FORMATS });
  }
  if (/pixel limit/i.test(message)) {
    return new VlmR1Error("ERR_IMAGE", `${name}: too many pixels to decode safely (${message})`, options);
  }
  const [firstLine] = message.split("\n");
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
