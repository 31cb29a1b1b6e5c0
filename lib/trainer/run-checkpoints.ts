import { join } from "node:path";
import { parseSize } from "../config/index.js";
import { span } from "../report/spans.js";
import { writeBestFile } from "./best-checkpoint.js";
import { loadModelState, saveCheckpoint } from "./checkpoint.js";
import { checkpointName, checkpointsFolder } from "./checkpoint-folder.js";
import { isWhole, type OpenRun } from "./run.js";

/** Writes a checkpoint of the run as it is, unless there is one; gives its folder. Before the first step there is none. */
export async function saveRun(run: OpenRun): Promise<string | undefined> {
  const { state, session, outputDir: runFolder, options, events, parts } = run;
  const known = run.checkpoint?.step === state.step && run.evaluationsSaved === state.evaluations.length;
  if (known || state.step === 0) return run.checkpoint?.path;
  const { saveDtype: dtype, saveTotalLimit: keep, maxShardSize } = options.plan.config;
  const { model, adapter, reference } = session;
  state.objectiveState = parts.objective.state();
  state.guards = parts.guards.state();
  state.watch = run.watch?.state() ?? {};
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
  const saved = run.saving.then(() => saveRun(run));
  run.saving = saved.catch(() => undefined);
  return saved;
}

/** Saves for those who wait for it; their errors are theirs. */
export async function saveForWaiting(run: OpenRun): Promise<void> {
  await run.saving;
  const waiting = run.waiting.splice(0);
  if (waiting.length === 0) return;
  const saved = isWhole(run) ? saveRun(run) : Promise.resolve(run.checkpoint?.path);
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
