import { join } from "node:path";
import { isAlive, readHolder } from "../files/index.js";
import { LOCK_FILE, type RunFile } from "../report/run-files.js";
import type { PageRun } from "./page-data.js";

/** A run that says it is under way, but whose process on this machine is gone, was interrupted, whatever ended it. */
export async function statusOf(folder: string, run: RunFile | undefined): Promise<PageRun["status"]> {
  if (run === undefined) return "unknown";
  if (run.status !== "running" && run.status !== "paused") return run.status;
  const holder = await readHolder(join(folder, LOCK_FILE));
  return holder !== undefined && isAlive(holder) ? run.status : "interrupted";
}
