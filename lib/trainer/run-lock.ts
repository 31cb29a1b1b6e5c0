import { stat } from "node:fs/promises";
import { join } from "node:path";
import { VlmR1Error } from "../errors/index.js";
import { releaseLock, takeLock } from "../files/index.js";
import { LOCK_FILE } from "../report/run-files.js";

/** Keeps a run's folder from another process, which would remove or overwrite its checkpoints. */
export class RunLock {
  private readonly path: string;
  private held = false;

  constructor(private readonly folder: string) {
    this.path = join(folder, LOCK_FILE);
  }

  /** Takes a folder that is there; one that is not can be taken later. Throws `ERR_STATE` where it is in use. */
  async take(): Promise<void> {
    if (this.held || (await stat(this.folder).catch(() => undefined)) === undefined) return;
    await takeLock(
      this.path,
      (pid) =>
        new VlmR1Error("ERR_STATE", `${this.folder} is in use: process ${pid} trains there`, {
          hint: "Wait until it is done or interrupt it, or choose another --output-dir.",
        }),
    );
    this.held = true;
  }

  async release(): Promise<void> {
    if (!this.held) return;
    this.held = false;
    await releaseLock(this.path);
  }
}
