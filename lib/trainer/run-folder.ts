import { readdir, realpath, rm } from "node:fs/promises";
import { join, sep } from "node:path";
import { stringify } from "yaml";
import { TRACE_FILE, toFileConfig } from "../config/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { makeFolder, replaceFile } from "../files/index.js";
import {
  AFTER_FILE,
  BEFORE_FILE,
  CHECKPOINTS_FOLDER,
  COMPLETIONS_FILE,
  CONFIG_FILE,
  DATA_FILE,
  ENVIRONMENT_FILE,
  METRICS_FILE,
  REPORT_FILE,
  RUN_FILE,
  type RunFile,
  readRunFile,
  SUMMARY_FILE,
  WARNINGS_FILE,
} from "../report/run-files.js";
import { WANDB_FILE } from "../report/wandb.js";
import { BEST_FILE } from "./best-checkpoint.js";
import { type Checkpoint, listCheckpoints } from "./checkpoint.js";

/** What a run writes; nothing else in the folder is ever removed. */
const OWN_FILES = [
  RUN_FILE,
  CONFIG_FILE,
  METRICS_FILE,
  COMPLETIONS_FILE,
  WARNINGS_FILE,
  ENVIRONMENT_FILE,
  DATA_FILE,
  BEFORE_FILE,
  AFTER_FILE,
  SUMMARY_FILE,
  REPORT_FILE,
  BEST_FILE,
  WANDB_FILE,
  TRACE_FILE,
];
const OWN_FOLDERS = [CHECKPOINTS_FOLDER];
/** TensorBoard's files, whose names have the time in them. */
const OWN_NAMES = /^events\.out\.tfevents\./;

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
    await makeFolder(folder);
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
      `Go on with it by --config ${join(folder, CONFIG_FILE)} --resume, ` +
      "or start anew with --overwrite-output-dir.",
  });
}
