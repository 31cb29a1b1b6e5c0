import { abortReason, isAbort, VlmR1Error } from "../errors/index.js";
import type { RunEnd, StepReport } from "../report/index.js";
import { span } from "../report/spans.js";
import type { RolloutGroup } from "./events.js";
import { isDone, trainStep } from "./loop.js";
import type { RolloutReport as Rollout, StepContext } from "./objective.js";
import { NAMED_ABOVE } from "./rows.js";
import { isWhole, nextBaseRate, noteStatus, type OpenRun } from "./run.js";
import { loadBest, saveForWaiting, saveRun } from "./run-checkpoints.js";
import { evaluateIfDue, stoppedEarly } from "./run-evaluation.js";
import { historyEntry } from "./state.js";
import type { Steering } from "./steering.js";

/** What may hold a run up, or end it before its last step. */
export interface StepsOptions {
  signal: AbortSignal | undefined;
  steering: Steering;
  /** Writes what was asked for beside the run, once it is finished. */
  finish(): Promise<void>;
}

type Ending = Pick<RunEnd, "status" | "reason">;

/**
 * The steps that are left. However it ends, the run's state is saved where it is that of a whole step: but for errors
 * that would be saved with it, or that came from saving.
 */
export async function* runSteps(run: OpenRun, options: StepsOptions): AsyncGenerator<StepReport, void, void> {
  const { signal } = options;
  checkReady(run);
  run.running = true;
  let ending: Ending = { status: "interrupted" };
  let thrown = false;
  try {
    await noteStatus(run, "running");
    // What was due after the last step, where it was interrupted.
    await finishStep(run, signal);
    while (await goesOn(run, options)) {
      const advance = async () => {
        const report = await takeStep(run, signal);
        await finishStep(run, signal);
        return report;
      };
      yield await (run.profiler?.around(run.state.step, advance) ?? advance());
    }
    ending = await conclude(run, options);
  } catch (error) {
    thrown = true;
    if (isAbort(error, signal)) throw signal?.aborted ? abortReason(signal) : error;
    ending = { status: "failed", reason: error instanceof Error ? error.message : String(error) };
    throw await failed(run, error);
  } finally {
    await end(run, ending, thrown).finally(() => {
      run.running = false;
      options.steering.clear();
    });
  }
}

/** Two loops would take the same steps at once, and half a step cannot be gone on from. */
function checkReady(run: OpenRun): void {
  if (run.running) {
    throw new VlmR1Error("ERR_STATE", "this trainer's run is under way", {
      hint: "Wait for its end, or use a trainer with another output_dir.",
    });
  }
  if (isWhole(run)) return;
  throw new VlmR1Error("ERR_STATE", `step ${run.state.step + 1} has failed between two of its updates`, {
    hint: "Go on from the last checkpoint in a new trainer with resume: true (--resume).",
  });
}

/** Whether there is a next step; waits while the run is paused. */
async function goesOn(run: OpenRun, options: Omit<StepsOptions, "finish">): Promise<boolean> {
  const { signal, steering } = options;
  const { state, parts, events } = run;
  const over = () => isDone(parts, state) || (stoppedEarly(run) ?? steering.stopReason) !== undefined;
  if (over() || !steering.paused) return !over();
  await noteStatus(run, "paused");
  await events.emit("pause", { step: state.step });
  while (steering.paused && !over()) {
    await events.flush();
    if (steering.paused && !over()) await steering.change(signal);
  }
  if (over()) return false;
  await noteStatus(run, "running");
  await events.emit("continue", { step: state.step });
  return goesOn(run, options);
}

async function conclude(run: OpenRun, { steering, finish }: StepsOptions): Promise<Ending> {
  const early = stoppedEarly(run);
  const reason = early ?? steering.stopReason;
  if (reason !== undefined && early === undefined && !isDone(run.parts, run.state)) {
    return { status: "interrupted", reason };
  }
  checkTrained(run);
  await saveRun(run);
  if (run.options.plan.config.loadBestModelAtEnd) await loadBest(run);
  await finish();
  return { status: "finished", reason: early };
}

/** A run so short that it meets bad rows alone must not look as if it had trained. */
function checkTrained({ state, parts: { totalSteps } }: OpenRun): void {
  if (totalSteps === 0 || state.numTokens > 0) return;
  throw new VlmR1Error("ERR_DATA", `none of the rows of ${totalSteps} steps could be used`, { hint: NAMED_ABOVE });
}

async function takeStep(run: OpenRun, signal: AbortSignal | undefined): Promise<StepReport> {
  const { state, parts, events } = run;
  const context: StepContext = {
    signal,
    onProgress: (progress) => events.emitNow("progress", progress),
    onRollout: (rollout) => tellRollout(run, rollout),
    warn: (message) => events.warn(message),
  };
  await run.saving;
  run.busy = true;
  run.stepping = true;
  try {
    const args = { step: state.step + 1 };
    const report = await span("training step", () => trainStep(parts, state, context), { args });
    run.stepping = false;
    run.wholeAfter = state.updates;
    run.weightsOf = state.step;
    run.busy = false;
    state.history.push(historyEntry(report));
    const said = run.watch?.observe(report.step, report.metrics, nextBaseRate(run)) ?? [];
    for (const message of said) events.warn(message);
    await events.flush();
    await span("reports", () => events.emit("step", report));
    return report;
  } finally {
    run.stepping = false;
    run.busy = false;
    try {
      await events.flush();
    } finally {
      await saveForWaiting(run);
    }
  }
}

/** What is due after a step: an evaluation, and a checkpoint also where that was the best. */
async function finishStep(run: OpenRun, signal: AbortSignal | undefined): Promise<void> {
  const best = await evaluateIfDue(run, signal);
  const { saveSteps } = run.options.plan.config;
  const due = saveSteps > 0 && run.state.step % saveSteps === 0;
  if (best || due) await saveRun(run);
  await run.saving;
  await run.events.flush();
}

/** Shows the groups to those who want to see them, between sampling and learning. */
async function tellRollout(run: OpenRun, { step, completions, metrics }: Rollout): Promise<void> {
  // Nothing has changed yet: who wants a checkpoint now can have it.
  run.busy = !isWhole(run);
  await run.events.emit("rollout", { step, groups: groupsOf(completions, run), metrics });
  await run.saving;
  run.busy = true;
}

function groupsOf(completions: Rollout["completions"], { options: { plan } }: OpenRun): RolloutGroup[] {
  const each = plan.objective === "grpo" ? plan.config.numGenerations : 1;
  const groups: RolloutGroup[] = [];
  for (let first = 0; first < completions.length; first += each) {
    const group = completions.slice(first, first + each);
    groups.push({ id: group[0]?.id ?? "", completions: group });
  }
  return groups;
}

/** Errors that came from the disk, or that are in the weights by now: nothing is saved after them. */
const NOT_SAVED = new Set(["ERR_IO", "ERR_NOT_FOUND", "ERR_CHECKPOINT", "ERR_NON_FINITE"]);
const FROM_DISK = new Set(["ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO"]);

/** Saves what there is of a run that ends by an error, and says where it can go on from. */
async function failed(run: OpenRun, error: unknown): Promise<unknown> {
  const { events } = run;
  const code = error instanceof VlmR1Error ? error.code : "ERR_INTERNAL";
  if (isWhole(run) && !NOT_SAVED.has(code)) {
    await saveRun(run).catch((cause: Error) => events.warn(`no checkpoint was written: ${cause.message}`));
  }
  if (!(error instanceof VlmR1Error) || !FROM_DISK.has(codeOf(error.cause)) || run.checkpoint === undefined) {
    return error;
  }
  const { path } = run.checkpoint;
  if (error.hint?.includes(path)) return error;
  const hint = `The last good checkpoint is ${path}. Free space; --resume goes on from it.`;
  return new VlmR1Error(error.code, error.message, { hint, cause: error });
}

function codeOf(cause: unknown): string {
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
}

/** `thrown`: the caller must hear of what ended the run, and not of what went wrong after it. */
async function end(run: OpenRun, { status, reason }: Ending, thrown: boolean): Promise<void> {
  const { events, state } = run;
  try {
    if (status === "interrupted" && isWhole(run)) await saveRun(run);
    await run.profiler?.end();
  } finally {
    await noteStatus(run, status, reason).catch((error: Error) => {
      if (status === "finished") throw error;
      events.warn(error.message);
    });
    await events.flush();
    await events.emit("end", { status, step: state.step, checkpoint: run.checkpoint?.path, reason }).catch((error) => {
      if (!thrown) throw error;
      events.warn(error instanceof Error ? error.message : String(error));
    });
    await events.flush();
  }
}
