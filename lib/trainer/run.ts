import type { RunEnd } from "../report/index.js";
import type { RunStatus } from "../report/run-files.js";
import type { Checkpoint, TrainerState } from "./checkpoint.js";
import type { RunEvents } from "./events.js";
import { baseRateAt, withChange } from "./learning-rate.js";
import type { LoopParts } from "./loop.js";
import type { ResolvedOptions } from "./options.js";
import type { Profiler } from "./profiler.js";
import { writeRunFile } from "./run-folder.js";
import type { RunLock } from "./run-lock.js";
import type { Session } from "./session.js";
import type { Watch } from "./watch.js";

/** What there is of a run before its files are opened. */
export interface RunHost {
  readonly options: ResolvedOptions;
  readonly outputDir: string;
  readonly events: RunEvents;
}

/** A session with its place in the run. */
export interface OpenRun extends RunHost {
  /** Of its folder, until the trainer is disposed. */
  lock: RunLock;
  session: Session;
  parts: LoopParts;
  state: TrainerState;
  resumed: boolean;
  /** The newest checkpoint. */
  checkpoint: Checkpoint | undefined;
  /** How many of the run's evaluations that knows: one that was interrupted is made after its step's checkpoint. */
  evaluationsSaved: number;
  profiler: Profiler | undefined;
  /** Looks for the ways in which training by rewards goes wrong; supervised training has none. */
  watch: Watch | undefined;
  /** The step whose weights the model has: another than the state's where the best ones were loaded at the end. */
  weightsOf: number;
  /** Updates when the last whole step was done: weights of half a step are never saved. */
  wholeAfter: number;
  /** `run()` is being gone through. */
  running: boolean;
  /** A step has begun and is not done. */
  stepping: boolean;
  /** A step is at work, and callbacks that may save are not being called. */
  busy: boolean;
  /** The checkpoint that is being written, behind those before it; never rejects. */
  saving: Promise<unknown>;
  /** Those who wait for a checkpoint after the step at hand. */
  waiting: ((saved: Promise<string | undefined>) => void)[];
}

export function isWhole(run: OpenRun): boolean {
  return run.state.updates === run.wholeAfter;
}

export async function noteStatus(
  { outputDir, state, parts }: OpenRun,
  status: RunStatus,
  reason?: RunEnd["reason"],
): Promise<void> {
  const { step } = state;
  await writeRunFile(outputDir, {
    status,
    step,
    totalSteps: parts.totalSteps,
    ...(reason !== undefined && { reason }),
  });
}

/** The first step, from 0, that what is set now holds for. */
function nextStep({ state, stepping }: OpenRun): number {
  return state.step + (stepping ? 1 : 0);
}

/** The highest learning rate of the schedule, as the next step has it. */
export function nextBaseRate(run: OpenRun): number {
  const { state, options } = run;
  return baseRateAt(state.learningRateChanges, nextStep(run), options.plan.config.learningRate);
}

/** Sets it, and tells of it. */
export function changeBaseRate(run: OpenRun, learningRate: number): void {
  const before = nextBaseRate(run);
  if (learningRate === before) return;
  const step = nextStep(run);
  run.state.learningRateChanges = withChange(run.state.learningRateChanges, step, learningRate);
  run.events.warn(`the learning rate is changed from ${before} to ${learningRate}, from step ${step + 1} on`);
}
