import { readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { fromSystem, type VlmR1Error } from "../errors/index.js";

/** A process, and when it started: numbers of processes are used again. */
export interface Holder {
  pid: number;
  /** In ticks since the machine's start; null where the system does not tell. */
  started: number | null;
}

/** This process. */
export function ownHolder(): Holder {
  return { pid: process.pid, started: startOf(process.pid) ?? null };
}

/** Whom a lock's file names; undefined for what is no lock, such as one that was being written when the machine went down. */
export async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const { pid, started } = JSON.parse(await readFile(path, "utf8")) as Partial<Holder>;
    return typeof pid === "number" ? { pid, started: started ?? null } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Takes a lock's file, in a folder that is there. Throws what `inUse` says of a process that holds it; what a process
 * that is gone has left counts for nothing. Takers of one process are not kept apart, nor machines that share a disk.
 */
export async function takeLock(path: string, inUse: (pid: number) => VlmR1Error): Promise<void> {
  const own = ownHolder();
  try {
    await writeFile(path, JSON.stringify(own), { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fromSystem(error, "write", path);
    const holder = await readHolder(path);
    if (holder !== undefined && holder.pid !== process.pid && isAlive(holder)) throw inUse(holder.pid);
    await writeFile(path, JSON.stringify(own)).catch((cause: unknown) => {
      throw fromSystem(cause, "write", path);
    });
  }
}

/** Gives back what this process holds. */
export async function releaseLock(path: string): Promise<void> {
  if ((await readHolder(path))?.pid === process.pid) await rm(path, { force: true });
}

/** Whether that process is still there, on this machine. */
export function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const now = startOf(pid);
  return started === null || now === undefined || now === started;
}

/** See proc_pid_stat(5): the name, in parentheses, may hold anything. -1 for one that has ended; undefined: not told. */
function startOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? -1 : Number(fields[19]);
  } catch {
    return undefined;
  }
}
