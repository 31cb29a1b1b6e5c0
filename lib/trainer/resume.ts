import { dirname, join } from "node:path";
import { changedScales } from "../adapters/index.js";
import { VlmR1Error } from "../errors/index.js";
import { ADAPTER_FOLDER, type Checkpoint, loadModelState, readTrainerState, type TrainerState } from "./checkpoint.js";
import type { Policy } from "./policy.js";

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
  { model, adapter }: Pick<Policy, "model" | "adapter">,
  fresh: TrainerState,
  warn: (message: string) => void,
): Promise<{ state: TrainerState; checkpoint: Checkpoint }> {
  let last: unknown;
  for (const checkpoint of checkpoints.toReversed()) {
    try {
      const state = await readTrainerState(checkpoint.path);
      const different = SAME.filter((name) => state[name] !== fresh[name]);
      refuse(
        different.map((name) => `${name} ${state[name]}, now ${fresh[name]}`),
        checkpoint,
      );
      if (adapter !== undefined)
        refuse(await changedScales(join(checkpoint.path, ADAPTER_FOLDER), adapter), checkpoint);
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

function refuse(different: readonly string[], { path }: Checkpoint): void {
  if (different.length === 0) return;
  const config = join(dirname(dirname(path)), "config.yaml");
  throw new VlmR1Error("ERR_CONFIG", `${path} was written by a run with other options: ${different.join("; ")}`, {
    hint: `Resume with the run's own options (--config ${config} --resume), or start a new run in another --output-dir.`,
  });
}
