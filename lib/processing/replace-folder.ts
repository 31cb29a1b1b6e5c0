import { open, readdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { makeFolder, pathBeside } from "../files/index.js";

const INDEX = "model.safetensors.index.json";
const WEIGHTS = /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/;

/**
 * Has `write` fill a folder beside `target`, and renames it when it is whole. Where `target` is there already its files
 * are replaced one by one: others stay, but for weights of an earlier save, which readers would take for a part.
 */
export async function replaceFolder(target: string, write: (folder: string) => Promise<void>): Promise<void> {
  const path = resolve(target);
  const beside = pathBeside(path);
  try {
    await rm(beside, { recursive: true, force: true });
    await makeFolder(beside);
    await write(beside);
    await syncFolder(beside);
  } catch (error) {
    await rm(beside, { recursive: true, force: true }).catch(() => undefined);
    throw fromSystem(error, "write the folder", target);
  }
  try {
    await moveInto(beside, path);
  } catch (error) {
    // Some files may have taken their place already: what is whole stays.
    throw fromSystem(error, "replace the files of", target, `What was not moved yet is in ${beside}; move it by hand.`);
  }
}

/** Throws at once what `replaceFolder` would throw at its start: for callers that have hours of work before it. */
export async function requireWritable(target: string): Promise<void> {
  const beside = pathBeside(target);
  try {
    await namesIn(target);
    await makeFolder(beside);
    await rm(beside, { recursive: true, force: true });
  } catch (error) {
    throw fromSystem(error, "write the folder", target);
  }
}

/** A model and an adapter in one folder are read by nobody as both. */
export async function refuseBeside(folder: string, file: string, what: string): Promise<void> {
  if ((await namesIn(folder))?.includes(file) !== true) return;
  throw new VlmR1Error("ERR_USAGE", `${folder} holds ${what} (${file})`, { hint: "Choose another folder." });
}

/** For folders that are made once: what lies there already may be someone's work. */
export async function refuseFilled(folder: string): Promise<void> {
  if (((await namesIn(folder)) ?? []).length === 0) return;
  throw new VlmR1Error("ERR_USAGE", `${folder} is not empty`, { hint: "Choose another folder, or add --force." });
}

async function moveInto(from: string, to: string): Promise<void> {
  const there = await namesIn(to);
  if (there === undefined) return rename(from, to);
  const names = await readdir(from);
  // Old and new shards have the same names: without an index nobody takes a mixture of them for a model.
  if (there.includes(INDEX) && names.includes(INDEX)) await rm(join(to, INDEX));
  for (const name of names) if (name !== INDEX) await rename(join(from, name), join(to, name));
  if (names.includes(INDEX)) await rename(join(from, INDEX), join(to, INDEX));
  if (names.some((name) => WEIGHTS.test(name))) {
    for (const name of there) if (WEIGHTS.test(name) && !names.includes(name)) await rm(join(to, name));
  }
  await rm(from, { recursive: true });
}

async function namesIn(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fromSystem(error, "read the folder", folder);
  }
}

/** Renaming says that the files are whole: they must be on the disk before it. */
export async function syncFolder(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await syncFolder(path);
      continue;
    }
    const file = await open(path, "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
