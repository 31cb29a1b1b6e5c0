import { readFileSync } from "node:fs";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromSystem, VlmR1Error } from "../errors/index.js";

const LOCK_FILE = "run.lock";

/** A process, and when it started: numbers of processes are used again. */
interface Holder {
  pid: number;
  /** In ticks since the machine's start; null where the system does not tell. */
  started: number | null;
}

/**
 * Keeps a run's folder from another process, which would remove or overwrite its checkpoints. What a process that is
 * gone has left counts for nothing. Trainers of one process are not kept apart, nor machines that share a disk.
 */
export class RunLock {
  private readonly path: string;
  private held = false;

  constructor(private readonly folder: string) {
    this.path = join(folder, LOCK_FILE);
  }

  /** Takes a folder that is there; one that is not can be taken later. Throws `ERR_STATE` where it is in use. */
  async take(): Promise<void> {
    if (this.held || (await stat(this.folder).catch(() => undefined)) === undefined) return;
    const own: Holder = { pid: process.pid, started: startOf(process.pid) ?? null };
    try {
      await writeFile(this.path, JSON.stringify(own), { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fromSystem(error, "write", this.path);
      this.refuse(await this.holder());
      await writeFile(this.path, JSON.stringify(own));
    }
    this.held = true;
  }

  async release(): Promise<void> {
    if (!this.held) return;
    this.held = false;
    if ((await this.holder())?.pid === process.pid) await rm(this.path, { force: true });
  }

  private refuse(holder: Holder | undefined): void {
    if (holder === undefined || holder.pid === process.pid || !isAlive(holder)) return;
    throw new VlmR1Error("ERR_STATE", `${this.folder} is in use: process ${holder.pid} trains there`, {
      hint: "Wait until it is done or interrupt it, or choose another --output-dir.",
    });
  }

  /** Undefined for what is no lock, such as one that was being written when the machine went down. */
  private async holder(): Promise<Holder | undefined> {
    try {
      const { pid, started } = JSON.parse(await readFile(this.path, "utf8")) as Partial<Holder>;
      return typeof pid === "number" ? { pid, started: started ?? null } : undefined;
    } catch {
      return undefined;
    }
  }
}

function isAlive({ pid, started }: Holder): boolean {
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
