import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder with all above it; one that is there is left as it is. Node's own `recursive` never comes back where a
 * file system refuses folders as if their parent were missing, as /proc does.
 *
 * @throws what `mkdir` and `stat` throw
 */
export async function makeFolder(path: string): Promise<void> {
  const missing: string[] = [];
  let at = resolve(path);
  while (!(await isThere(at))) {
    missing.unshift(at);
    at = dirname(at);
  }
  for (const folder of missing) await mkdir(folder).catch(passOver);
  // What is there may be a file: mkdir then says so.
  if (missing.length === 0 && !(await stat(path)).isDirectory()) await mkdir(path);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** Somebody else has made it in between. */
function passOver(error: unknown): void {
  if (codeOf(error) !== "EEXIST") throw error;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
