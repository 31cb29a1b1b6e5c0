import { open, readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Brings all of a folder to the disk: its files, and the folders that name them. A rename after that says that the
 * folder is whole, also after a power cut.
 */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await syncFile(path);
  }
  await syncEntries(folder);
}

/** Brings the entries of a folder to the disk: what was made, renamed or removed in it. */
export async function syncEntries(folder: string): Promise<void> {
  // Windows opens no folders; it writes their entries through.
  if (process.platform !== "win32") await syncFile(folder);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
