import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { fromSystem, VlmR1Error } from "../../errors/index.js";
import { replaceFile } from "../../files/index.js";
import { decodeImage, imageSize } from "../../processing/image.js";
import { pictureFormat } from "../../processing/picture-format.js";
import { shown } from "./source.js";

/** A picture as a row names it: a file, or the bytes of one. */
export type PictureReference = { path: string } | { bytes: Uint8Array };

/** What is known of a picture. */
export interface KnownPicture {
  /** Of its bytes, SHA-256 in hexadecimal: equal pictures have equal ones. */
  hash: string;
  width: number;
  height: number;
  /** "png", "jpg" …: of the bytes, whatever the name says. */
  ending: string;
}

/** Lists in lists that a cell may have: more is no list of pictures. */
const DEEPEST = 3;

/**
 * Reads the pictures that a cell names: a path, a list of paths (also as JSON), bytes, or `{bytes, path}` as Hugging
 * Face stores them. Relative paths begin at `folder`. Throws `ERR_DATA`.
 */
export function pictureReferences(value: unknown, folder: string, depth = 0): PictureReference[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value) && depth < DEEPEST) {
    return value.flatMap((item) => pictureReferences(item, folder, depth + 1));
  }
  if (value instanceof Uint8Array) return value.length === 0 ? [] : [{ bytes: value }];
  if (typeof value === "object" && !Array.isArray(value)) {
    const { bytes, path } = value as { bytes?: unknown; path?: unknown };
    if (bytes instanceof Uint8Array && bytes.length > 0) return [{ bytes }];
    if (typeof path === "string") return pictureReferences(path, folder);
    return [];
  }
  if (typeof value === "string") return fromText(value.trim(), folder);
  throw new VlmR1Error("ERR_DATA", `expected a picture's path or bytes, got ${shown(value)}`);
}

function fromText(text: string, folder: string): PictureReference[] {
  if (text === "") return [];
  if (text.startsWith("[")) {
    const list = parseList(text);
    if (list !== undefined) return list.flatMap((item) => fromText(item.trim(), folder));
  }
  if (/^(https?|data):/i.test(text)) {
    throw new VlmR1Error("ERR_DATA", `expected a picture's path, got the address ${text.slice(0, 60)}`);
  }
  return [{ path: isAbsolute(text) ? text : resolve(folder, text) }];
}

function parseList(text: string): string[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === "string") ? list : undefined;
  } catch {
    return undefined;
  }
}

/** Looks at pictures, at each file once. */
export class PictureInspector {
  private readonly known = new Map<string, Promise<KnownPicture>>();

  /** `decode`: read all of each picture, not only its header, which finds the damaged ones. */
  constructor(private readonly decode: boolean) {}

  /** Throws `ERR_NOT_FOUND`, `ERR_IO` or `ERR_IMAGE`, with the file's name in the message. */
  look(reference: PictureReference): Promise<KnownPicture> {
    if ("bytes" in reference) return this.inspect(reference.bytes, "the picture");
    const { path } = reference;
    const known = this.known.get(path) ?? readPicture(path).then((bytes) => this.inspect(bytes, path));
    this.known.set(path, known);
    return known;
  }

  private async inspect(bytes: Uint8Array, name: string): Promise<KnownPicture> {
    const ending = pictureFormat(bytes);
    try {
      const size = await imageSize(bytes);
      if (this.decode) await decodeImage(bytes, { name });
      if (ending === undefined) throw new VlmR1Error("ERR_IMAGE", "the picture: its format is not known");
      return { hash: createHash("sha256").update(bytes).digest("hex"), ...size, ending };
    } catch (error) {
      if (!(error instanceof VlmR1Error)) throw error;
      throw new VlmR1Error(
        error.code,
        error.message.replace(/^the picture(?=:)/, () => name),
        { hint: error.hint },
      );
    }
  }
}

async function readPicture(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fromSystem(error, "find the picture", path);
  }
}

/** Characters of a hash in a file's name. */
const NAME_LENGTH = 24;

/** Writes a picture under a name made of its content; one that is there already is left. Returns its path. */
export async function storePicture(bytes: Uint8Array, { hash, ending }: KnownPicture, folder: string): Promise<string> {
  const path = join(folder, `${hash.slice(0, NAME_LENGTH)}.${ending}`);
  const there = await stat(path).catch(() => undefined);
  if (there?.size !== bytes.length) {
    await replaceFile(path, { what: "write the picture" }, async (file) => file.writeFile(bytes));
  }
  return path;
}
