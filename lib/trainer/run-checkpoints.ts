import { join } from "node:path";
import { parseSize } from "../config/index.js";
import { span } from "../report/spans.js";
import { writeBestFile } from "./best-checkpoint.js";
import { loadModelState, saveCheckpoint } from "./checkpoint.js";
import { checkpointName, checkpointsFolder } from "./checkpoint-folder.js";
import { isWhole, type OpenRun } from "./run.js";
import type { TrainerState } from "./state.js";

/**
 * Writes a checkpoint of the run as it is, unless there is one; gives its folder. Before the first step there is none,
 * and of half a step there never is. One is written at a time: the loop and callers from outside may ask at once.
 */
export function saveRun(run: OpenRun): Promise<string | undefined> {
  // At once: who is told of a checkpoint may ask for it, and must not wait for all to have been told.
  if (!isDue(run)) return Promise.resolve(run.checkpoint?.path);
  const saved = run.saving.then(() => (isDue(run) ? write(run) : run.checkpoint?.path));
  run.saving = saved.catch(() => undefined);
  return saved;
}

function isDue(run: OpenRun): boolean {
  const { state, checkpoint, evaluationsSaved } = run;
  const known = checkpoint?.step === state.step && evaluationsSaved === state.evaluations.length;
  return !known && state.step > 0 && isWhole(run);
}

async function write(run: OpenRun): Promise<string> {
  const { session, outputDir: runFolder, options, events, parts } = run;
  // As it is now: an evaluation may be made while this is written.
  const state: TrainerState = structuredClone({
    ...run.state,
    objectiveState: parts.objective.state(),
    guards: parts.guards.state(),
    watch: run.watch?.state() ?? {},
  });
  const { saveDtype: dtype, saveTotalLimit: keep, maxShardSize } = options.plan.config;
  const { model, adapter, reference } = session;
  const warn = (message: string) => events.warn(message);
  run.checkpoint = await span("checkpoint", () =>
    saveCheckpoint({
      ...{ runFolder, model, adapter, reference, state, dtype, keep, warn },
      maxShardBytes: parseSize(maxShardSize),
      last: run.checkpoint,
    }),
  );
  run.evaluationsSaved = state.evaluations.length;
  await writeBestFile(runFolder, state.best);
  const { step, path } = run.checkpoint;
  await events.emit("checkpoint", { step, path, best: state.best?.step === step });
  return path;
}

/** For callers outside of the loop: at once where the weights are those of a whole step, else after the step at hand. */
export function requestSave(run: OpenRun): Promise<string | undefined> {
  if (run.busy) return new Promise((resolve) => run.waiting.push(resolve));
  return saveRun(run);
}

/** Saves for those who wait for it; their errors are theirs. */
export async function saveForWaiting(run: OpenRun): Promise<void> {
  await run.saving;
  const waiting = run.waiting.splice(0);
  if (waiting.length === 0) return;
  const saved = saveRun(run);
  for (const resolve of waiting) resolve(saved);
  await saved.catch(() => undefined);
}

/** Brings the model to the best checkpoint's weights. The run's own state stays: it is over. */
export async function loadBest(run: OpenRun): Promise<void> {
  const { state, session, outputDir, events } = run;
  if (state.best === null) {
    events.warn("load_best_model_at_end: no evaluation gave a number; the weights stay those of the last step");
    return;
  }
  const { metric, value, step } = state.best;
  if (step === run.weightsOf) return;
  await loadModelState(join(checkpointsFolder(outputDir), checkpointName(step)), session);
  run.weightsOf = step;
  events.warn(`the weights are now those of step ${step}, the best by ${metric} (${value})`);
}
