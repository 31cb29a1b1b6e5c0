import { resolve, sep } from "node:path";

/** Names of runs by their folders: the last parts of the paths, as many as tell them apart. */
export function runNames(folders: readonly string[]): string[] {
  const parts = folders.map((folder) => resolve(folder).split(sep));
  const most = Math.max(...parts.map((own) => own.length));
  for (let count = 1; count < most; count += 1) {
    const names = parts.map((own) => own.slice(-count).join("/"));
    if (new Set(names).size === names.length) return names;
  }
  // The same folder twice.
  return parts.map((own, index) => `${own.at(-1)} (${index + 1})`);
}
