import { mkdir, readdir, readFile, realpath, rm } from "node:fs/promises";
import { join, sep } from "node:path";
import { parse, stringify } from "yaml";
import { TRACE_FILE, toFileConfig } from "../config/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { replaceFile } from "../files/index.js";
import { WANDB_FILE } from "../report/wandb.js";
import { BEST_FILE } from "./best-checkpoint.js";
import { type Checkpoint, listCheckpoints } from "./checkpoint.js";

export type RunStatus = "running" | "paused" | "interrupted" | "failed" | "finished";

export interface RunFile {
  status: RunStatus;
  step: number;
  totalSteps: number;
  /** Why it ended before its last step, where it was not for an error or a signal. */
  reason?: string;
}

const RUN_FILE = "run.json";
export const CONFIG_FILE = "config.yaml";
/** What a run writes; nothing else in the folder is ever removed. */
const OWN_FILES = [
  RUN_FILE,
  CONFIG_FILE,
  "metrics.jsonl",
  "completions.jsonl",
  "before.json",
  "after.json",
  "summary.json",
  BEST_FILE,
  WANDB_FILE,
  TRACE_FILE,
];
const OWN_FOLDERS = ["checkpoints"];
/** TensorBoard's files, whose names have the time in them. */
const OWN_NAMES = /^events\.out\.tfevents\./;

/** What lies in a run's folder; undefined where no run was. */
export async function readRunFile(folder: string): Promise<RunFile | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, RUN_FILE), "utf8")) as RunFile;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fromSystem(error, "read", join(folder, RUN_FILE));
  }
}

export async function writeRunFile(folder: string, run: RunFile): Promise<void> {
  await writeWhole(join(folder, RUN_FILE), `${JSON.stringify(run)}\n`);
}

/**
 * Makes sure that a new run may have the folder. One that holds an earlier run's checkpoints is refused, unless it may be
 * replaced: an unfinished run would lose its work. Nothing is removed yet.
 */
export async function claimRunFolder(folder: string, overwrite: boolean): Promise<void> {
  const checkpoints = await listCheckpoints(folder);
  if (checkpoints.length > 0 && !overwrite) throw await occupied(folder, checkpoints);
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw fromSystem(error, "make the run's folder", folder);
  }
}

/** Removes what an earlier run left, once all that could go wrong with the new one's options has been looked at. */
export async function clearRunFolder(folder: string, inputs: readonly (string | undefined)[]): Promise<void> {
  for (const name of OWN_FOLDERS) await refuseInside(join(folder, name), inputs);
  try {
    for (const name of OWN_FOLDERS) await rm(join(folder, name), { recursive: true, force: true });
    const events = (await readdir(folder)).filter((name) => OWN_NAMES.test(name));
    for (const name of [...OWN_FILES, ...events]) await rm(join(folder, name), { force: true });
  } catch (error) {
    throw fromSystem(error, "clear the run's folder", folder);
  }
}

/** A run that goes on from an earlier one's checkpoint must not remove it. */
async function refuseInside(folder: string, inputs: readonly (string | undefined)[]): Promise<void> {
  const parent = await realpath(folder).catch(() => undefined);
  for (const input of inputs) {
    if (parent === undefined || input === undefined) continue;
    if (!(await realpath(input)).startsWith(parent + sep)) continue;
    throw new VlmR1Error("ERR_CONFIG", `this run starts from ${input}, which replacing ${folder} would remove`, {
      hint: "Choose another --output-dir.",
    });
  }
}

export async function writeRunConfig(folder: string, config: object): Promise<void> {
  await writeWhole(join(folder, CONFIG_FILE), stringify(toFileConfig(config)));
}

function writeWhole(path: string, text: string): Promise<void> {
  return replaceFile(path, { what: "write" }, (file) => file.writeFile(text));
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

async function occupied(folder: string, checkpoints: readonly Checkpoint[]): Promise<VlmR1Error> {
  const run = await readRunFile(folder);
  const step = checkpoints.at(-1)?.step;
  if (run?.status === "finished") {
    return new VlmR1Error("ERR_STATE", `${folder} holds a finished run of ${run.totalSteps} steps`, {
      hint: "Choose another --output-dir, or replace it with --overwrite-output-dir.",
    });
  }
  const of = run === undefined ? "" : ` of ${run.totalSteps}`;
  return new VlmR1Error("ERR_STATE", `${folder} holds an interrupted run, saved at step ${step}${of}`, {
    hint:
      `Go on with it by --config ${join(folder, "config.yaml")} --resume, ` +
      "or start anew with --overwrite-output-dir.",
  });
}
