import { stat } from "node:fs/promises";
import { join } from "node:path";
import {
  AFTER_FILE,
  BEFORE_FILE,
  CONFIG_FILE,
  DATA_FILE,
  ENVIRONMENT_FILE,
  SUMMARY_FILE,
} from "../../report/run-files.js";

/** Files that are written whole, beside the run's lines. */
const WHOLE_FILES = [CONFIG_FILE, ENVIRONMENT_FILE, DATA_FILE, BEFORE_FILE, AFTER_FILE, SUMMARY_FILE];

/** Tells when one of the files that a run writes whole has changed. */
export class FileStamps {
  private last: string | undefined;

  constructor(private readonly folder: string) {}

  /** Whether any of them is another than at the last look, if there was one. */
  async changed(): Promise<boolean> {
    const stamps = await Promise.all(WHOLE_FILES.map((name) => stampOf(join(this.folder, name))));
    const now = stamps.join(" ");
    const changed = this.last !== undefined && now !== this.last;
    this.last = now;
    return changed;
  }
}

/** Of a file, its time, size and place on the disk; "" where there is none. */
export async function stampOf(path: string): Promise<string> {
  return stat(path).then(
    ({ mtimeMs, size, ino }) => `${mtimeMs}:${size}:${ino}`,
    () => "",
  );
}
