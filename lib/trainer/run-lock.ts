import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { type Holder, isAlive, ownHolder, readHolder } from "../files/index.js";
import { LOCK_FILE } from "../report/run-files.js";

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
    const own = ownHolder();
    try {
      await writeFile(this.path, JSON.stringify(own), { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw fromSystem(error, "write", this.path);
      this.refuse(await readHolder(this.path));
      await writeFile(this.path, JSON.stringify(own));
    }
    this.held = true;
  }

  async release(): Promise<void> {
    if (!this.held) return;
    this.held = false;
    if ((await readHolder(this.path))?.pid === process.pid) await rm(this.path, { force: true });
  }

  private refuse(holder: Holder | undefined): void {
    if (holder === undefined || holder.pid === process.pid || !isAlive(holder)) return;
    throw new VlmR1Error("ERR_STATE", `${this.folder} is in use: process ${holder.pid} trains there`, {
      hint: "Wait until it is done or interrupt it, or choose another --output-dir.",
    });
  }
}
