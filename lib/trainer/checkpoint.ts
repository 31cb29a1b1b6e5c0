import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type AdapterIdentity, writeAdapterFiles } from "../adapters/index.js";
import type { Model, SaveDType } from "../engine/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { pathBeside, UNFINISHED } from "../files/index.js";
import { syncFolder } from "../processing/index.js";
import { writeModelFiles } from "./save-model.js";

const HistoryEntry = z.object({
  step: z.int(),
  reward: z.number().nullable(),
  loss: z.number().nullable(),
  maxLogpDifference: z.number().nullable(),
});

/** All that a run needs to go on, beside the model's and the optimizer's state. Everything random is a function of it. */
const TrainerStateSchema = z.object({
  version: z.literal(1),
  objective: z.enum(["grpo", "sft"]),
  /** Steps that are done. */
  step: z.int().min(0),
  totalSteps: z.int(),
  seed: z.int(),
  /** Rows taken; their order is computed from the seed and these three. */
  position: z.int().min(0),
  rows: z.int(),
  train: z.enum(["full", "lora"]),
  trainableParameters: z.int(),
  promptsPerStep: z.int(),
  shuffleDataset: z.boolean(),
  /** Optimizer updates that were made. */
  updates: z.int().default(0),
  numTokens: z.number(),
  /** Time spent in steps. */
  seconds: z.number(),
  history: z.array(HistoryEntry),
});

export type TrainerState = z.output<typeof TrainerStateSchema>;

export interface Checkpoint {
  step: number;
  path: string;
}

const STATE_FILE = "state.safetensors";
const TRAINER_FILE = "trainer.json";
const NAME = /^step-(\d+)$/;
/** In a checkpoint of a run that trains an adapter. */
export const ADAPTER_FOLDER = "adapter";

/** Whole checkpoints of a run, oldest first. One that was being written when the run died has another name. */
export async function listCheckpoints(runFolder: string): Promise<Checkpoint[]> {
  const folder = join(runFolder, "checkpoints");
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fromSystem(error, "read the folder", folder);
  }
  return names
    .flatMap((name) => {
      const step = NAME.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), path: join(folder, name) }];
    })
    .sort((a, b) => a.step - b.step);
}

export interface SaveCheckpointOptions {
  runFolder: string;
  model: Model;
  /** The adapter that is trained; undefined where the model's own weights are. */
  adapter: AdapterIdentity | undefined;
  state: TrainerState;
  dtype: SaveDType | "auto";
  maxShardBytes: number;
  /** Newest checkpoints that stay. */
  keep: number;
}

/**
 * Writes `checkpoints/step-000100/`: the model as Hugging Face folder, or the adapter in PEFT's format under `adapter/`;
 * the training state; trainer.json. It is written beside and renamed, so that a folder of that name is whole; then
 * older ones than the newest `keep` are removed.
 */
export async function saveCheckpoint(options: SaveCheckpointOptions): Promise<Checkpoint> {
  const { runFolder, model, state, keep } = options;
  const path = join(runFolder, "checkpoints", `step-${String(state.step).padStart(6, "0")}`);
  const beside = pathBeside(path);
  try {
    await removeUnfinished(runFolder);
    await mkdir(beside, { recursive: true });
    await writeTrained(beside, options);
    await model.save(join(beside, STATE_FILE), { what: "state" });
    await writeFile(join(beside, TRAINER_FILE), `${JSON.stringify(state)}\n`);
    await syncFolder(beside);
    await rm(path, { recursive: true, force: true });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { recursive: true, force: true }).catch(() => undefined);
    throw writeFailed(error, path);
  }
  const checkpoints = await listCheckpoints(runFolder);
  for (const old of checkpoints.slice(0, Math.max(0, checkpoints.length - keep))) {
    await rm(old.path, { recursive: true, force: true });
  }
  return { step: state.step, path };
}

function writeFailed(error: unknown, path: string): VlmR1Error {
  const hint = "Earlier checkpoints are untouched; free space and --resume.";
  // The engine's errors come without advice, and it writes most of what a disk has no room for.
  const { code, message, hint: given = hint } = fromSystem(error, "write the checkpoint", path, hint);
  return new VlmR1Error(code, message, { hint: given, cause: error });
}

async function writeTrained(folder: string, options: SaveCheckpointOptions): Promise<void> {
  const { model, adapter, dtype, maxShardBytes } = options;
  if (adapter === undefined) return writeModelFiles(model, folder, { dtype, maxShardBytes });
  await mkdir(join(folder, ADAPTER_FOLDER));
  await writeAdapterFiles(model, join(folder, ADAPTER_FOLDER), adapter);
}

/** Brings a model to a checkpoint's state. */
export async function loadModelState(path: string, model: Model): Promise<void> {
  await model.loadState(join(path, STATE_FILE));
}

export async function readTrainerState(path: string): Promise<TrainerState> {
  const file = join(path, TRAINER_FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw fromSystem(error, "read", file);
  }
  try {
    return TrainerStateSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new VlmR1Error("ERR_CHECKPOINT", `${file}: not a trainer's state: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function removeUnfinished(runFolder: string): Promise<void> {
  const folder = join(runFolder, "checkpoints");
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    if (name.startsWith(UNFINISHED)) await rm(join(folder, name), { recursive: true, force: true });
  }
}
