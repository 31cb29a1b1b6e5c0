import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { imageSize, MAX_DECODED_PIXELS } from "../processing/image.js";
import { loadSharp } from "../processing/sharp.js";
import type { PictureStore } from "./page-run.js";

export interface ThumbnailOptions {
  /** Pixels of the square that a picture fits into; smaller ones stay as they are. */
  side: number;
  /** Of WebP, 1 … 100. */
  quality: number;
}

/** Larger files are not read for a thumbnail. */
const MOST_BYTES = 64 * 2 ** 20;

/** Holds pictures as small data: URLs, each once by its content. Its keys are numbers of the page's list. */
export class EmbeddedPictures implements PictureStore {
  private readonly urls: string[] = [];
  private readonly keys = new Map<string, string>();
  /** Numbers are given in the order of the calls, however long each picture takes. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: ThumbnailOptions) {}

  /** As the page has them. */
  get pictures(): string[] {
    return [...this.urls];
  }

  add(path: string): Promise<string | undefined> {
    const url = thumbnailUrl(path, this.options);
    const key = this.turn.then(async () => this.keyOf(await url));
    this.turn = key;
    return key;
  }

  private keyOf(url: string | undefined): string | undefined {
    if (url === undefined) return undefined;
    const content = createHash("sha256").update(url).digest("base64");
    const known = this.keys.get(content);
    if (known !== undefined) return known;
    const key = String(this.urls.length);
    this.urls.push(url);
    this.keys.set(content, key);
    return key;
  }
}

/** Undefined where the file is gone, too large, or no picture: a page without it is better than none. */
async function thumbnailUrl(path: string, { side, quality }: ThumbnailOptions): Promise<string | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile() || stats.size > MOST_BYTES) return undefined;
    const bytes = await readFile(path);
    // Turns down what is no picture of a known format, above all what would be drawn by a renderer.
    await imageSize(bytes);
    const sharp = await loadSharp();
    const small = await sharp(bytes, { limitInputPixels: MAX_DECODED_PIXELS })
      .autoOrient()
      .resize(side, side, { fit: "inside", withoutEnlargement: true })
      .flatten({ background: "white" })
      .webp({ quality })
      .toBuffer();
    return `data:image/webp;base64,${small.toString("base64")}`;
  } catch {
    return undefined;
  }
}
