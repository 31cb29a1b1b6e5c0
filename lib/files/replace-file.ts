import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fromSystem } from "../errors/index.js";
import { makeFolder } from "./make-folder.js";

/** In front of the name of a file or folder that is being written. */
export const UNFINISHED = ".writing-";

/** Its name can be guessed: what someone else has linked there is not written to. Windows has no such flag. */
const FRESH = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0);

/** Where something is written before it is whole. */
export function pathBeside(target: string): string {
  const path = resolve(target);
  return join(dirname(path), UNFINISHED + basename(path));
}

/**
 * Has `write` fill a file beside `path`, in a folder that is made where there is none, and renames it when it is whole:
 * on a full disk what was there stays.
 */
export async function replaceFile(
  path: string,
  { what, hint }: { what: string; hint?: string },
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const beside = pathBeside(path);
  try {
    await makeFolder(dirname(beside));
    const file = await open(beside, FRESH);
    try {
      await write(file);
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw fromSystem(error, what, path, hint);
  }
}

/** The same with a value as JSON, for people to read too. */
export async function replaceJson(
  path: string,
  value: unknown,
  about: { what: string; hint?: string } = { what: "write" },
): Promise<void> {
  await replaceFile(path, about, (file) => file.writeFile(`${JSON.stringify(value, null, 2)}\n`));
}
