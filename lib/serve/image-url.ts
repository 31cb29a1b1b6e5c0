import { readFile, realpath, stat } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { type PictureFormat, pictureFormat } from "../processing/picture-format.js";
import { type ApiError, badRequest } from "./api-error.js";
import { excerpt } from "./shown.js";

export interface PictureRules {
  /** The folder of which requests may name pictures, without symbolic links; undefined: none. */
  imageFolder: string | undefined;
  /** Of a picture's file. */
  maxBytes: number;
}

/** The formats that requests may hold. */
const FORMATS: ReadonlySet<PictureFormat | undefined> = new Set(["jpg", "png", "gif", "webp"] as const);

/** The encoded bytes of a picture that a request holds or names; `param` is the field, for messages. */
export async function readImageUrl(url: string, param: string, rules: PictureRules): Promise<Uint8Array> {
  const bytes = /^data:/i.test(url) ? decodeDataUrl(url, param) : await readLocal(url, param, rules);
  if (FORMATS.has(pictureFormat(bytes))) return bytes;
  throw badRequest(`${param}: not a PNG, JPEG, WebP or GIF picture`, param, "invalid_image");
}

function decodeDataUrl(url: string, param: string): Uint8Array {
  const comma = url.indexOf(",");
  const head = url.slice("data:".length, comma < 0 ? undefined : comma).toLowerCase();
  if (comma < 0 || !/^image\/[a-z0-9.+-]+(;[a-z0-9=.+-]+)*;base64$/.test(head.slice(0, 200))) {
    throw badRequest(
      `${param}: expected data:image/…;base64,… , got data:${head.slice(0, 60)}`,
      param,
      "invalid_image",
    );
  }
  // Tools that write base64 break its lines.
  const text = url.slice(comma + 1).replace(/\s+/g, "");
  const digits = text.replace(/={1,2}$/, "").length;
  const bytes = Buffer.from(text, "base64");
  // Node passes over what is no digit, and ends at "=": then there is less than the digits hold.
  if (digits === 0 || digits % 4 === 1 || bytes.length !== Math.floor((digits * 3) / 4)) {
    throw badRequest(`${param}: the base64 text is empty or damaged`, param, "invalid_base64");
  }
  return bytes;
}

async function readLocal(url: string, param: string, { imageFolder, maxBytes }: PictureRules): Promise<Uint8Array> {
  if (/^[a-z][a-z0-9+.-]+:/i.test(url) && !/^file:/i.test(url)) {
    const what = `${param}: ${url.slice(0, 30)}… is not fetched`;
    throw badRequest(`${what}: send the picture as data:image/…;base64,…`, param, "unsupported_image_url");
  }
  if (imageFolder === undefined) {
    const what = `${param}: this server reads no local files (it was started without an image folder)`;
    throw badRequest(`${what}; send the picture as data:image/…;base64,…`, param, "image_path_not_allowed");
  }
  const path = resolve(imageFolder, localPath(url, param));
  const name = excerpt(url);
  // By its name first, so that an answer tells nothing about what there is outside.
  if (!isInside(path, imageFolder)) throw outside(param);
  try {
    const real = await realpath(path);
    if (!isInside(real, imageFolder)) throw outside(param);
    const { size, isFile } = await describe(real);
    if (!isFile) throw badRequest(`${param}: ${name} is not a file`, param, "invalid_image");
    if (size > maxBytes) {
      throw badRequest(`${param}: ${name} has ${size} bytes, at most ${maxBytes} are read`, param, "image_too_large");
    }
    return await readFile(real);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === undefined || (error as Error).name === "ApiError") throw error;
    const why = code === "ENOENT" || code === "ENOTDIR" ? "there is no such file" : "it cannot be read";
    throw badRequest(`${param}: ${name}: ${why}`, param, "image_not_found");
  }
}

function localPath(url: string, param: string): string {
  if (url.includes("\0") || /%00/.test(url)) throw badRequest(`${param}: not a path`, param, "invalid_image");
  if (!/^file:/i.test(url)) return url;
  try {
    return fileURLToPath(url);
  } catch {
    throw badRequest(`${param}: not a file:// address of this machine`, param, "invalid_image");
  }
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function outside(param: string): ApiError {
  return badRequest(`${param}: the path leads out of the image folder`, param, "image_path_not_allowed");
}

async function describe(path: string): Promise<{ size: number; isFile: boolean }> {
  const found = await stat(path);
  return { size: found.size, isFile: found.isFile() };
}
