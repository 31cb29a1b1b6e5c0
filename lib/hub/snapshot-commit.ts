import { basename, dirname } from "node:path";
import { isCommit } from "./names.js";

/** The commit of a folder in the cache; undefined for any other folder. */
export function snapshotCommit(folder: string): string | undefined {
  const commit = basename(folder);
  return isCommit(commit) && basename(dirname(folder)) === "snapshots" ? commit : undefined;
}
