import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it. As `mkdir` does with `recursive`, which never comes back where a system refuses a
 * name by saying that the folder above is not there, as /proc of Linux does.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const above = dirname(path);
    // Systems have other reasons too to refuse what is there already, such as a disk that is only read.
    if (code !== "ENOENT" || above === path) {
      if ((await stat(path).catch(() => undefined))?.isDirectory() === true) return;
      throw error;
    }
    await makeFolder(above);
    await mkdir(path).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== "EEXIST") throw again;
    });
  }
}
