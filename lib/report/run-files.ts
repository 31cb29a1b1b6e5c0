import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { fromSystem } from "../errors/index.js";

/** What the files of a run's folder are called. */
export const RUN_FILE = "run.json";
export const LOCK_FILE = "run.lock";
export const CONFIG_FILE = "config.yaml";
export const METRICS_FILE = "metrics.jsonl";
export const COMPLETIONS_FILE = "completions.jsonl";
export const WARNINGS_FILE = "warnings.jsonl";
export const ENVIRONMENT_FILE = "environment.json";
export const DATA_FILE = "data.json";
export const BEFORE_FILE = "before.json";
export const AFTER_FILE = "after.json";
export const SUMMARY_FILE = "summary.json";
export const REPORT_FILE = "report.html";
export const CHECKPOINTS_FOLDER = "checkpoints";

const RunFileSchema = z.object({
  status: z.enum(["running", "paused", "interrupted", "failed", "finished"]),
  step: z.number(),
  totalSteps: z.number(),
  /** Why it ended before its last step, where it was not for a signal. */
  reason: z.string().optional(),
});
export type RunFile = z.output<typeof RunFileSchema>;
export type RunStatus = RunFile["status"];

/** What lies in a run's folder; undefined where no run was. */
export async function readRunFile(folder: string): Promise<RunFile | undefined> {
  try {
    return RunFileSchema.safeParse(JSON.parse(await readFile(join(folder, RUN_FILE), "utf8"))).data;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fromSystem(error, "read", join(folder, RUN_FILE));
  }
}

/** The fields that a run began with, as they are called in files; none where there is no such file. */
export async function readRunConfig(folder: string): Promise<Readonly<Record<string, unknown>>> {
  const path = join(folder, CONFIG_FILE);
  try {
    return (parse(await readFile(path, "utf8")) ?? {}) as Record<string, unknown>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw fromSystem(error, "read", path);
  }
}
