import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { isAbort, VlmR1Error } from "../errors/index.js";
import { type Comparison, compareRecords, type EvaluationRecord, readRecord } from "../eval/index.js";
import { type Environment, EnvironmentSchema } from "../report/environment.js";
import { lastLinesOf } from "../report/json-lines.js";
import {
  AFTER_FILE,
  BEFORE_FILE,
  COMPLETIONS_FILE,
  CONFIG_FILE,
  DATA_FILE,
  ENVIRONMENT_FILE,
  LOCK_FILE,
  METRICS_FILE,
  RUN_FILE,
  type RunFile,
  readRunConfig,
  readRunFile,
  WARNINGS_FILE,
} from "../report/run-files.js";
import { type CompletionLine, readCompletions } from "./completions.js";
import { DataStatisticsSchema } from "./data-statistics.js";
import type { Records } from "./examples.js";
import type { PageRun, RunDataStatistics } from "./page-data.js";
import { type Question, questionsOf } from "./question-texts.js";
import { objectOf, type RunMetrics, readMetrics } from "./read-metrics.js";
import { statusOf } from "./status.js";

/** All that a run's folder says and that a page may show, before it is chosen and cut. */
export interface RunRecord {
  folder: string;
  run: RunFile | undefined;
  status: PageRun["status"];
  config: Readonly<Record<string, unknown>>;
  metrics: RunMetrics;
  records: Records;
  /** Of the evaluations before and after, where there are both. */
  comparison: Comparison | undefined;
  /** The newest, in the order of the file. */
  completions: CompletionLine[];
  /** Of the completions' rows, by their ids. */
  questions: ReadonlyMap<string, Question>;
  warnings: PageRun["warnings"];
  environment: Environment | undefined;
  data: RunDataStatistics | undefined;
}

export interface ReadOptions {
  /** The newest completions that are read, at most. */
  completions: number;
  /** Points of a curve that will be asked for, at most. */
  maxPoints: number;
  signal?: AbortSignal | undefined;
}

const FILES = [
  ...[RUN_FILE, LOCK_FILE, CONFIG_FILE, METRICS_FILE, COMPLETIONS_FILE, WARNINGS_FILE],
  ...[ENVIRONMENT_FILE, DATA_FILE, BEFORE_FILE, AFTER_FILE],
];
/** Warnings that are shown: the newest. */
const WARNINGS = 200;

/**
 * Reads what there is of a run: none of the files has to be there, and one that is damaged is named among the warnings.
 * Throws `ERR_NOT_FOUND` for a folder that no run has written.
 */
export async function readRunRecord(folder: string, options: ReadOptions): Promise<RunRecord> {
  const { maxPoints, signal } = options;
  await requireRun(folder);
  const problems: string[] = [];
  const attempt = async <T>(name: string, read: (path: string) => Promise<T>): Promise<T | undefined> => {
    const path = join(folder, name);
    try {
      return await read(path);
    } catch (error) {
      if (isAbort(error, signal)) throw error;
      if (!isMissing(error)) problems.push(`${name} cannot be shown: ${(error as Error).message}`);
      return undefined;
    }
  };
  const run = await readRunFile(folder);
  const config = asObject(await attempt(CONFIG_FILE, () => readRunConfig(folder)));
  const metrics = await readMetrics(join(folder, METRICS_FILE), maxPoints, signal);
  const before = await attempt(BEFORE_FILE, readRecord);
  const environment = await attempt(ENVIRONMENT_FILE, (path) => readJson(path, EnvironmentSchema));
  const after = await attempt(AFTER_FILE, (path) => readAfter(path, environment));
  const comparison = await attempt(AFTER_FILE, () => compared({ before, after }, signal));
  const completions = await readCompletions(join(folder, COMPLETIONS_FILE), options.completions);
  const data = await attempt(DATA_FILE, (path) => readJson(path, DataStatisticsSchema));
  const step = metrics.steps.lastStep;
  const workingFolder = environment?.sessions.at(-1)?.working_folder ?? process.cwd();
  return {
    ...{ folder, run, config, metrics, completions, comparison, environment, data },
    status: await statusOf(folder, run),
    records: { before, after },
    questions: await questionsOf(completions, { config, workingFolder }, signal),
    warnings: [...(await readWarnings(folder)), ...problems.map((message) => ({ step, message }))],
  };
}

/** A run that had ended and went on has the evaluation of its earlier end until it ends again. */
async function readAfter(path: string, environment: Environment | undefined): Promise<EvaluationRecord> {
  const { mtimeMs } = await stat(path);
  const started = environment?.sessions.at(-1)?.started;
  if (started !== undefined && mtimeMs < Date.parse(started)) {
    throw new VlmR1Error("ERR_STATE", "it is of an earlier end of this run, which has gone on since");
  }
  return readRecord(path);
}

/** YAML may be a text or a list too, in a file that a run has not written. */
function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

async function compared({ before, after }: Records, signal: AbortSignal | undefined): Promise<Comparison | undefined> {
  if (before === undefined || after === undefined) return undefined;
  return compareRecords(before, after, { labels: ["before", "after"], signal });
}

/** Also that what is called as its files are is none that would be waited for without end, such as a pipe. */
async function requireRun(folder: string): Promise<void> {
  const there = async (name: string) => stat(join(folder, name)).catch(() => undefined);
  for (const name of FILES) {
    if ((await there(name))?.isFile() !== false) continue;
    throw new VlmR1Error("ERR_DATA", `${join(folder, name)} is no file`, { hint: "Move it away." });
  }
  for (const name of [RUN_FILE, CONFIG_FILE, METRICS_FILE]) if ((await there(name)) !== undefined) return;
  await refuseFolder(folder);
}

async function refuseFolder(folder: string): Promise<void> {
  const there = await stat(folder).catch(() => undefined);
  const what = there === undefined ? "is not there" : there.isDirectory() ? "holds no run" : "is no folder";
  throw new VlmR1Error("ERR_NOT_FOUND", `${folder} ${what}: expected ${RUN_FILE}, ${CONFIG_FILE} or ${METRICS_FILE}`, {
    hint: "Name the folder of a run, which `train` and `sft` call output_dir.",
  });
}

function isMissing(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return code === "ENOENT" || cause?.code === "ENOENT";
}

async function readJson<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> {
  const value: unknown = JSON.parse(await readFile(path, "utf8"));
  const { data, error } = schema.safeParse(value);
  if (error === undefined) return data as z.output<S>;
  const [issue] = error.issues;
  throw new VlmR1Error("ERR_DATA", `${issue?.path.join(".")}: ${issue?.message}`);
}

/** What is told again and again is told once, where it came first, with its number. */
async function readWarnings(folder: string): Promise<PageRun["warnings"]> {
  const counted = new Map<string, { step: number; times: number }>();
  for (const line of await lastLinesOf(join(folder, WARNINGS_FILE), WARNINGS)) {
    const { step, message } = objectOf(line) ?? {};
    if (typeof step !== "number" || typeof message !== "string") continue;
    const before = counted.get(message);
    if (before === undefined) counted.set(message, { step, times: 1 });
    else before.times += 1;
  }
  return [...counted].map(([message, { step, times }]) => ({
    step,
    message: times === 1 ? message : `${message} (${times} times)`,
  }));
}
