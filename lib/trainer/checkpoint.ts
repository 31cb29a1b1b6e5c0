import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type AdapterIdentity, writeAdapterFiles } from "../adapters/index.js";
import type { Model, SaveDType } from "../engine/index.js";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { syncTree } from "../files/index.js";
import {
  type Checkpoint,
  checkpointName,
  checkpointsFolder,
  checkSizes,
  fileSizes,
  makeUnfinished,
  pruneCheckpoints,
  putInPlace,
  recoverCheckpoints,
} from "./checkpoint-folder.js";
import type { Reference } from "./reference.js";
import { writeModelFiles } from "./save-model.js";
import { parseTrainerState, type TrainerState } from "./state.js";

export { type Checkpoint, listCheckpoints } from "./checkpoint-folder.js";
export type { TrainerState } from "./state.js";

const STATE_FILE = "state.safetensors";
const REFERENCE_FILE = "reference.safetensors";
/** Written last. */
export const TRAINER_FILE = "trainer.json";
/** In a checkpoint of a run that trains an adapter. */
export const ADAPTER_FOLDER = "adapter";

/** What trainer.json has beside the state: bytes of the other files. Checkpoints of old versions have none. */
const Files = z.object({ files: z.record(z.string(), z.int().min(0)).default({}) });

/** Where a run's weights are. */
export interface CheckpointedModel {
  model: Model;
  /** The adapter that is trained; undefined where the model's own weights are. */
  adapter: AdapterIdentity | undefined;
  reference: Reference | undefined;
}

export interface SaveCheckpointOptions extends CheckpointedModel {
  runFolder: string;
  state: TrainerState;
  dtype: SaveDType | "auto";
  maxShardBytes: number;
  /** Newest checkpoints that stay, beside the best one. */
  keep: number;
  /** The newest one so far, for the message where this one cannot be written. */
  last: Checkpoint | undefined;
  warn: (message: string) => void;
}

/**
 * Writes `checkpoints/step-000100/`: the model as Hugging Face folder, or the adapter in PEFT's format under `adapter/`;
 * the training state; the reference's weights where it follows the policy; trainer.json. It is written beside, brought
 * to the disk and renamed, so that a folder of that name is whole; only then are older ones than the newest `keep`
 * removed, except the best one.
 */
export async function saveCheckpoint(options: SaveCheckpointOptions): Promise<Checkpoint> {
  const { runFolder, model, reference, state, keep, warn } = options;
  const { step, best } = state;
  let beside: string | undefined;
  let saved: Checkpoint;
  try {
    await recoverCheckpoints(runFolder);
    beside = await makeUnfinished(runFolder, step);
    await writeTrained(beside, options);
    await model.save(join(beside, STATE_FILE), { what: "state" });
    await reference?.state?.save(join(beside, REFERENCE_FILE));
    const files = await fileSizes(beside);
    await writeFile(join(beside, TRAINER_FILE), `${JSON.stringify({ ...parseTrainerState(state), files })}\n`);
    await syncTree(beside);
    saved = await putInPlace(beside, runFolder, step);
  } catch (error) {
    if (beside !== undefined) await rm(beside, { recursive: true, force: true }).catch(() => undefined);
    throw writeFailed(error, join(checkpointsFolder(runFolder), checkpointName(step)), options.last);
  }
  try {
    await pruneCheckpoints(runFolder, { newest: step, keep, best: best?.step });
  } catch (error) {
    warn(`older checkpoints could not be removed: ${(error as Error).message}`);
  }
  return saved;
}

function writeFailed(error: unknown, path: string, last: Checkpoint | undefined): VlmR1Error {
  const hint =
    last === undefined
      ? "This run has no checkpoint yet. Free space, and start anew."
      : `The last good checkpoint is ${last.path}. Free space; --resume goes on from it.`;
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

/** Brings a model, and a reference that follows it, to a checkpoint's state. */
export async function loadModelState(
  path: string,
  { model, reference }: Pick<CheckpointedModel, "model" | "reference">,
): Promise<void> {
  await model.loadState(join(path, STATE_FILE));
  await reference?.state?.load(join(path, REFERENCE_FILE));
}

/** Throws `ERR_CHECKPOINT`, or `ERR_NOT_FOUND`, where the checkpoint is not whole. */
export async function readTrainerState(path: string): Promise<TrainerState> {
  const file = join(path, TRAINER_FILE);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw fromSystem(error, "read", file, "Name the folder of a checkpoint, such as runs/x/checkpoints/step-000100.");
  }
  const { state, files } = parse(text, file);
  await checkSizes(path, files);
  return state;
}

function parse(text: string, file: string): { state: TrainerState; files: Record<string, number> } {
  try {
    const value: unknown = JSON.parse(text);
    return { state: parseTrainerState(value), ...Files.parse(value) };
  } catch (error) {
    throw new VlmR1Error("ERR_CHECKPOINT", `${file}: not a trainer's state: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
