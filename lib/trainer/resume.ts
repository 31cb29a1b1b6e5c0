import type { Model } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import { type Checkpoint, loadModelState, readTrainerState, type TrainerState } from "./checkpoint.js";

/** What a resumed run must share with its beginning, or its weights or its place in the data mean something else. */
const SAME = [
  ...(["objective", "train", "trainableParameters"] as const),
  ...(["seed", "rows", "promptsPerStep", "shuffleDataset"] as const),
];

/**
 * Brings the model to the newest checkpoint that can be read; one that cannot is named and the one before it tried.
 * Throws `ERR_CHECKPOINT` when none can, `ERR_CONFIG` when the run was begun with other options.
 */
export async function resumeRun(
  checkpoints: readonly Checkpoint[],
  model: Model,
  fresh: TrainerState,
  warn: (message: string) => void,
): Promise<{ state: TrainerState; checkpoint: Checkpoint }> {
  let last: unknown;
  for (const checkpoint of checkpoints.toReversed()) {
    try {
      const state = await readTrainerState(checkpoint.path);
      checkSame(state, fresh, checkpoint);
      await loadModelState(checkpoint.path, model);
      return { state: { ...state, totalSteps: fresh.totalSteps }, checkpoint };
    } catch (error) {
      if (error instanceof VlmR1Error && error.code === "ERR_CONFIG") throw error;
      last = error;
      warn(`checkpoint ${checkpoint.path} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new VlmR1Error("ERR_CHECKPOINT", "none of the run's checkpoints can be used", { cause: last });
}

function checkSame(state: TrainerState, fresh: TrainerState, { path }: Checkpoint): void {
  const different = SAME.filter((name) => state[name] !== fresh[name]);
  if (different.length === 0) return;
  const list = different.map((name) => `${name} ${String(state[name])}, now ${String(fresh[name])}`).join("; ");
  throw new VlmR1Error("ERR_CONFIG", `${path} was written by a run with other options: ${list}`, {
    hint: "Resume with the options of the run's config.yaml, or start a new run in another --output-dir.",
  });
}
