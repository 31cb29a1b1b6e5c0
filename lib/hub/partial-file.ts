import { createHash, type Hash, randomBytes } from "node:crypto";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { fromSystem, throwIfAborted } from "../errors/index.js";
import { makeFolder } from "../files/index.js";
import type { RemoteFile } from "./files.js";

/** Not the name that Python's library uses: older versions of it append to that file. */
const MARK = ".vlmr1";
const ENDING = ".incomplete";
/** Tells machines apart that share a cache: process ids mean nothing elsewhere. */
const HOST = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
/** Milliseconds without a byte. A download that lives gives up or goes on long before an hour. */
const ABANDONED = 3600_000;
const PATIENCE_WITH_OTHERS = 600_000;

/** What calls in this process write at the moment. */
const owned = new Set<string>();

/**
 * The part of a blob that was fetched so far. Its name carries who writes it, and only that process does: processes
 * that fetch the same file cannot mix their bytes. Who stops leaves it under a name without an owner, or dies; then
 * the next one takes it over by renaming it, which only one can.
 */
export class PartialFile {
  private hash: Hash;
  private bytes = 0;

  private constructor(
    private readonly file: RemoteFile,
    private readonly blob: string,
    /** Of this process alone. */
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {
    this.hash = newHash(file);
  }

  /** Takes over what an earlier download left of this blob, or begins a new file. */
  static async claim(blob: string, file: RemoteFile, signal: AbortSignal | undefined): Promise<PartialFile> {
    const path = `${blob}${MARK}-${HOST}-${process.pid}-${randomBytes(4).toString("hex")}${ENDING}`;
    owned.add(path);
    try {
      await makeFolder(dirname(blob));
      await takeOver(blob, path);
      // "a+" makes the file where there is none, and never cuts one.
      await (await open(path, "a+")).close();
      const partial = new PartialFile(file, blob, path, await open(path, "r+"));
      await partial.readBack(signal).catch(async (error: unknown) => {
        await partial.park();
        throw error;
      });
      return partial;
    } catch (error) {
      owned.delete(path);
      throwIfAborted(signal);
      throw fromSystem(error, "write", path);
    }
  }

  get size(): number {
    return this.bytes;
  }

  async write(piece: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < piece.length; ) {
        at += (await this.handle.write(piece, at, piece.length - at, this.bytes + at)).bytesWritten;
      }
    } catch (error) {
      throw fromSystem(error, "write", this.path, "Free space, or set HF_HUB_CACHE to a folder on another disk.");
    }
    this.hash.update(piece);
    this.bytes += piece.length;
  }

  /** Begins again. */
  async reset(): Promise<void> {
    await this.handle.truncate(0);
    this.hash = newHash(this.file);
    this.bytes = 0;
  }

  /** Whether all bytes are there and are the right ones. */
  isRight(): boolean {
    return this.bytes === this.file.size && this.hash.copy().digest("hex") === this.file.blob;
  }

  /** Renaming says that the file is whole: it must be on the disk before it. */
  async finish(): Promise<void> {
    try {
      await this.handle.sync();
      await this.close();
      await rename(this.path, this.blob);
    } catch (error) {
      throw fromSystem(error, "write", this.blob);
    }
  }

  /** Leaves it for a later run. */
  async park(): Promise<void> {
    await this.close();
    if (this.bytes === 0) await rm(this.path, { force: true });
    else await rename(this.path, this.blob + MARK + ENDING);
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  private async close(): Promise<void> {
    owned.delete(this.path);
    await this.handle.close();
  }

  private async readBack(signal: AbortSignal | undefined): Promise<void> {
    for await (const piece of this.handle.createReadStream({ start: 0, autoClose: false })) {
      throwIfAborted(signal);
      this.hash.update(piece as Buffer);
      this.bytes += (piece as Buffer).length;
    }
  }
}

/** Whether another process of this machine, or another call in this one, is at work on the blob. */
export async function isBeingFetched(blob: string): Promise<boolean> {
  const all = await partialsOf(blob);
  return all.some(({ owner, idle }) => owner === "alive" && idle < PATIENCE_WITH_OTHERS);
}

/** Bytes of a blob that need not be fetched again. */
export async function partialBytes(blob: string): Promise<number> {
  const all = await partialsOf(blob);
  return all.filter(isFree).reduce((most, { bytes }) => Math.max(most, bytes), 0);
}

interface Found {
  path: string;
  owner: "nobody" | "dead" | "alive" | "elsewhere";
  bytes: number;
  idle: number;
}

function isFree({ owner, idle }: Found): boolean {
  return owner === "nobody" || owner === "dead" || idle > ABANDONED;
}

async function takeOver(blob: string, path: string): Promise<void> {
  const free = (await partialsOf(blob)).filter(isFree).sort((a, b) => b.bytes - a.bytes);
  let taken = false;
  for (const found of free) {
    // Someone else may have been faster.
    if (taken) await rm(found.path, { force: true });
    else taken = await rename(found.path, path).then(() => true, isMissing);
  }
}

function isMissing(error: NodeJS.ErrnoException): boolean {
  if (error.code === "ENOENT") return false;
  throw error;
}

async function partialsOf(blob: string): Promise<Found[]> {
  const folder = dirname(blob);
  const names = await readdir(folder).catch(() => []);
  const start = `${blob.slice(folder.length + 1)}${MARK}`;
  const found: Found[] = [];
  for (const name of names.filter((name) => name.startsWith(start) && name.endsWith(ENDING))) {
    const path = join(folder, name);
    const owner = ownerOf(path, name.slice(start.length, -ENDING.length));
    const stats = await stat(path).catch(() => undefined);
    if (stats !== undefined) found.push({ path, owner, bytes: stats.size, idle: Date.now() - stats.mtimeMs });
  }
  return found;
}

function ownerOf(path: string, who: string): Found["owner"] {
  const [, host, process_] = /^-([0-9a-f]+)-(\d+)-[0-9a-f]+$/.exec(who) ?? [];
  if (host === undefined) return "nobody";
  if (host !== HOST) return "elsewhere";
  if (Number(process_) === process.pid) return owned.has(path) ? "alive" : "dead";
  try {
    process.kill(Number(process_), 0);
    return "alive";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH" ? "dead" : "alive";
  }
}

function newHash({ blob, size }: RemoteFile): Hash {
  return blob.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}
