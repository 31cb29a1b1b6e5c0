import { basename, dirname, join, resolve } from "node:path";
import { changedScales } from "../adapters/index.js";
import { VlmR1Error } from "../errors/index.js";
import { CHECKPOINTS_FOLDER } from "../report/run-files.js";
import {
  ADAPTER_FOLDER,
  type Checkpoint,
  type CheckpointedModel,
  listCheckpoints,
  loadModelState,
  readTrainerState,
  type TrainerState,
} from "./checkpoint.js";
import { recoverCheckpoints, setLaterAside } from "./checkpoint-folder.js";
import { changedOptions } from "./resume-options.js";

/** Where a run goes on. */
export interface ResumePoint {
  /** The folder of the run that is gone on with. */
  runFolder: string;
  /** Of which the newest that can be used is; oldest first. */
  checkpoints: readonly Checkpoint[];
  /** Whether one was named: then it is that one or none. */
  named: boolean;
  /** Whether it is this run's own folder; else this run has a new one. */
  own: boolean;
}

/** The folder of the run that a checkpoint belongs to; undefined where it lies by itself. */
export function runOfCheckpoint(path: string): string | undefined {
  const folder = dirname(resolve(path));
  return basename(folder) === CHECKPOINTS_FOLDER ? dirname(folder) : undefined;
}

/** Undefined where there is nothing to go on from. Throws where the checkpoint that is named is not whole. */
export async function findResumePoint(
  asked: boolean | string,
  outputDir: string,
  warn: (message: string) => void,
): Promise<ResumePoint | undefined> {
  await recoverCheckpoints(outputDir);
  if (asked === false) return undefined;
  if (asked !== true) {
    const { step } = await readTrainerState(asked);
    const runFolder = runOfCheckpoint(asked) ?? resolve(asked);
    const own = runFolder === resolve(outputDir);
    return { runFolder, checkpoints: [{ step, path: asked }], named: true, own };
  }
  const checkpoints = await listCheckpoints(outputDir);
  if (checkpoints.length > 0) return { runFolder: outputDir, checkpoints, named: false, own: true };
  warn(`${outputDir} holds no checkpoint; this run starts from the beginning`);
  return undefined;
}

export interface Resumed {
  state: TrainerState;
  /** Steps that the run was to have when the checkpoint was written. */
  planned: number;
  checkpoint: Checkpoint;
}

/**
 * Brings the model to the newest checkpoint that can be read; one that cannot is named and the one before it tried.
 * Throws `ERR_CHECKPOINT` when none can, `ERR_CONFIG` when the run was begun with other options that its state depends
 * on; tells of other options that have changed.
 */
export async function resumeRun(
  { checkpoints, runFolder, named, own }: ResumePoint,
  model: CheckpointedModel,
  fresh: TrainerState,
  warn: (message: string) => void,
): Promise<Resumed> {
  let last: unknown;
  for (const checkpoint of checkpoints.toReversed()) {
    try {
      const stored = await readTrainerState(checkpoint.path);
      const told = compare(stored, fresh, checkpoint);
      const { adapter } = model;
      if (adapter !== undefined)
        refuse(await changedScales(join(checkpoint.path, ADAPTER_FOLDER), adapter), checkpoint);
      await loadModelState(checkpoint.path, model);
      for (const change of told) warn(`${change}: from here on the run is another than it would have been`);
      const { totalSteps, options } = fresh;
      const learningRateChanges = keptChanges(stored, fresh, warn);
      const state = { ...stored, totalSteps, options, learningRateChanges };
      if (named && own) await goBack(runFolder, checkpoint, warn);
      if (!own) leaveBest(state, runFolder, warn);
      return { state, planned: stored.totalSteps, checkpoint };
    } catch (error) {
      if (named || (error instanceof VlmR1Error && error.code === "ERR_CONFIG")) throw error;
      last = error;
      warn(`checkpoint ${checkpoint.path} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new VlmR1Error("ERR_CHECKPOINT", "none of the run's checkpoints can be used", { cause: last });
}

/** Throws for what must be the same; gives what has changed else. */
function compare(stored: TrainerState, fresh: TrainerState, checkpoint: Checkpoint): string[] {
  const facts = (["objective", "train", "trainableParameters", "rows"] as const).filter(
    (name) => stored[name] !== fresh[name],
  );
  const { refused, told } = changedOptions(stored.options, fresh.options);
  refuse([...facts.map((name) => `${name} ${stored[name]}, now ${fresh[name]}`), ...refused], checkpoint);
  if (stored.step > fresh.totalSteps) {
    throw new VlmR1Error("ERR_CONFIG", `the run has done ${stored.step} steps, and was asked for ${fresh.totalSteps}`, {
      hint: "Give a larger max_steps (num_train_epochs), or name an earlier checkpoint: --resume RUN/checkpoints/step-000100.",
    });
  }
  return told;
}

/** A learning rate that was set on the way stays, unless another one is asked for now. */
function keptChanges(stored: TrainerState, fresh: TrainerState, warn: (message: string) => void) {
  const { learningRateChanges: changes } = stored;
  const last = changes.at(-1);
  if (last === undefined) return changes;
  if (stored.options.learningRate !== fresh.options.learningRate) return [];
  warn(`the learning rate is ${last.learningRate} since step ${last.step + 1}, as it was set while the run went on`);
  return changes;
}

function refuse(different: readonly string[], { path }: Checkpoint): void {
  if (different.length === 0) return;
  const config = join(dirname(dirname(path)), "config.yaml");
  throw new VlmR1Error("ERR_CONFIG", `${path} was written by a run with other options: ${different.join("; ")}`, {
    hint: `Resume with the run's own options (--config ${config} --resume), or start a new run in another --output-dir.`,
  });
}

async function goBack(runFolder: string, { step }: Checkpoint, warn: (message: string) => void): Promise<void> {
  const aside = await setLaterAside(runFolder, step);
  if (aside.length === 0) return;
  warn(`this run goes back to step ${step}; later checkpoints are now called ${aside.join(", ")}`);
}

/** The best checkpoint so far stays in the folder of the run that wrote it. */
function leaveBest(state: TrainerState, runFolder: string, warn: (message: string) => void): void {
  if (state.best === null) return;
  const { metric, value, step } = state.best;
  warn(`the best checkpoint so far (${metric} ${value}, step ${step}) is in ${runFolder}; here counting begins anew`);
  state.best = null;
  state.withoutBetter = 0;
}
