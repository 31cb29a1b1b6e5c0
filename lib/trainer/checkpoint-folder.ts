import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { makeFolder, syncEntries, UNFINISHED } from "../files/index.js";
import { CHECKPOINTS_FOLDER } from "../report/run-files.js";

export interface Checkpoint {
  step: number;
  path: string;
}

const NAME = /^step-(\d+)$/;
/** In front of the name of a checkpoint that another one of the same step is to replace. */
const REPLACED = ".replaced-";
/** In front of the name of one that is being removed. */
const REMOVED = ".removed-";
/** In front of the name of later ones than that from which a run was told to go on. */
const SUPERSEDED = "superseded-";

export function checkpointsFolder(runFolder: string): string {
  return join(runFolder, CHECKPOINTS_FOLDER);
}

export function checkpointName(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/** Whole checkpoints of a run, oldest first. One that was being written when the run died has another name. */
export async function listCheckpoints(runFolder: string): Promise<Checkpoint[]> {
  const folder = checkpointsFolder(runFolder);
  return (await namesIn(folder))
    .flatMap((name) => {
      const step = NAME.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), path: join(folder, name) }];
    })
    .sort((a, b) => a.step - b.step);
}

/**
 * Brings the folder of checkpoints into order after a run that was killed: what was being written or removed goes, and a
 * checkpoint that was about to be replaced comes back where the new one had not taken its place.
 */
export async function recoverCheckpoints(runFolder: string): Promise<void> {
  const folder = checkpointsFolder(runFolder);
  const names = await namesIn(folder);
  for (const name of names) {
    const path = join(folder, name);
    const was = name.startsWith(REPLACED) ? name.slice(REPLACED.length) : undefined;
    if (was !== undefined && !names.includes(was)) await rename(path, join(folder, was));
    else if (was !== undefined || name.startsWith(UNFINISHED) || name.startsWith(REMOVED)) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Gives a folder that was written beside its place its name. At every moment one of the two, old or new, is whole. */
export async function putInPlace(beside: string, runFolder: string, step: number): Promise<Checkpoint> {
  const folder = checkpointsFolder(runFolder);
  const name = checkpointName(step);
  const path = join(folder, name);
  const old = join(folder, REPLACED + name);
  const there = (await namesIn(folder)).includes(name);
  if (there) await rename(path, old);
  await rename(beside, path);
  await syncEntries(folder);
  if (there) await rm(old, { recursive: true, force: true });
  return { step, path };
}

/**
 * Removes those that are older than the newest `keep`, except the best one. Later ones than `newest` do not count: a
 * run that went on from before them has found them damaged.
 */
export async function pruneCheckpoints(
  runFolder: string,
  { newest, keep, best }: { newest: number; keep: number; best: number | undefined },
): Promise<void> {
  const own = (await listCheckpoints(runFolder)).filter(({ step }) => step <= newest);
  for (const { step } of own.slice(0, Math.max(0, own.length - keep))) {
    if (step !== best) await removeCheckpoint(runFolder, step);
  }
}

/** Takes the name away first: half a folder must not look like a checkpoint. */
async function removeCheckpoint(runFolder: string, step: number): Promise<void> {
  const folder = checkpointsFolder(runFolder);
  const gone = join(folder, REMOVED + checkpointName(step));
  await rename(join(folder, checkpointName(step)), gone);
  await rm(gone, { recursive: true, force: true });
}

/** Where a run goes back to an earlier step: later checkpoints get other names, so that none of them is the newest. */
export async function setLaterAside(runFolder: string, step: number): Promise<string[]> {
  const folder = checkpointsFolder(runFolder);
  const names: string[] = [];
  for (const later of await listCheckpoints(runFolder)) {
    if (later.step <= step) continue;
    const name = SUPERSEDED + checkpointName(later.step);
    await rm(join(folder, name), { recursive: true, force: true });
    await rename(later.path, join(folder, name));
    names.push(name);
  }
  return names;
}

/** Bytes of all files of a folder, by their paths in it; in the order of the names. */
export async function fileSizes(folder: string, inside = ""): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  const entries = await readdir(join(folder, inside), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = inside === "" ? entry.name : `${inside}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(sizes, await fileSizes(folder, name));
    else sizes[name] = (await stat(join(folder, name))).size;
  }
  return sizes;
}

/** Throws `ERR_CHECKPOINT` where a file is missing or has another size than when it was written. */
export async function checkSizes(folder: string, sizes: Readonly<Record<string, number>>): Promise<void> {
  for (const [name, bytes] of Object.entries(sizes)) {
    const file = join(folder, name);
    const found = await stat(file).catch((error: unknown) => {
      throw fromSystem(error, "read", file);
    });
    if (found.size === bytes) continue;
    throw new VlmR1Error("ERR_CHECKPOINT", `${file}: expected ${bytes} bytes, got ${found.size}`);
  }
}

export async function makeUnfinished(runFolder: string, step: number): Promise<string> {
  const beside = join(checkpointsFolder(runFolder), UNFINISHED + checkpointName(step));
  await makeFolder(beside);
  return beside;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fromSystem(error, "read the folder", folder);
  }
}
