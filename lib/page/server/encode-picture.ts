import { readFile, stat } from "node:fs/promises";
import { imageSize, MAX_DECODED_PIXELS } from "../../processing/image.js";
import { loadSharp } from "../../processing/sharp.js";

export interface EncodedPicture {
  /** As the bytes say, whatever the file is called. */
  type: string;
  bytes: Buffer;
}

/** What browsers show, in sharp's words; others are written anew. */
const SHOWN: Readonly<Record<string, string>> = {
  jpeg: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
  gif: "image/gif",
};
/** Pixels of a side, and bytes, above which a picture is made smaller. */
const LONGEST_SIDE = 640;
const MOST_BYTES = 256 << 10;
/** What is larger than any picture of a data set is not read. */
const MOST_READ = 256 << 20;

/** A picture's file as a browser shows it; undefined for what is no picture. */
export async function encodePicture(path: string): Promise<EncodedPicture | undefined> {
  try {
    if ((await stat(path)).size > MOST_READ) return undefined;
    const bytes = await readFile(path);
    // Turns down what is no picture of a known format: a drawing in SVG may hold programs.
    await imageSize(bytes);
    const sharp = await loadSharp();
    const picture = sharp(bytes, { limitInputPixels: MAX_DECODED_PIXELS });
    const { format, width, height } = await picture.metadata();
    const type = SHOWN[format];
    const small = Math.max(width, height) <= LONGEST_SIDE && bytes.length <= MOST_BYTES;
    if (type !== undefined && small) return { type, bytes };
    const fit = { width: LONGEST_SIDE, height: LONGEST_SIDE, fit: "inside", withoutEnlargement: true } as const;
    return { type: "image/webp", bytes: await picture.autoOrient().resize(fit).webp({ quality: 85 }).toBuffer() };
  } catch {
    return undefined;
  }
}
