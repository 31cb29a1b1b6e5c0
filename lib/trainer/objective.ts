import type { AccumulateArgs, AccumulateResult } from "../engine/index.js";
import type { CompletionRecord, Metrics, Progress } from "../report/index.js";
import type { Place } from "./data-order.js";

/** Which questions a step may take. */
export interface StepPlan {
  /** From 0. */
  step: number;
  /** Rows that the run took before this step. */
  position: number;
  /** Rows from a position on, fewer where the run's data end. */
  take(position: number, count: number): Place[];
}

/** What was sampled for a step, before anything is learned from it. */
export interface RolloutReport {
  /** From 1, as in a step's report. */
  step: number;
  completions: readonly CompletionRecord[];
  metrics: Metrics;
}

export interface StepContext {
  signal?: AbortSignal | undefined;
  onProgress(progress: Progress): void;
  /** Completions with their rewards, before the step trains on them. */
  onRollout?(rollout: RolloutReport): void | Promise<void>;
  /** Something that went wrong without ending the step. */
  warn(message: string): void;
}

/**
 * What a run optimises. The loop asks it to prepare a step (sample and judge completions, or read answers), hands the
 * micro-batches that come back to the engine, and shows it what the engine measured.
 */
export interface Objective {
  prepare(plan: StepPlan, context: StepContext): Promise<PreparedStep>;
  /** Starts to read the rows of a later step, while the engine computes this one. */
  prefetch(plan: StepPlan): void;
  /** Called when a step's updates are made, with the number of steps that are done. */
  stepDone(done: number): Promise<void>;
  /** Numbers that later steps depend on, beside the weights; a checkpoint keeps them. */
  state(): Record<string, number>;
  restore(state: Readonly<Record<string, number>>): void;
}

/** What one forward and backward pass computes. */
export type MicroBatch = Pick<AccumulateArgs, "groups" | "loss">;

export interface PreparedStep {
  /** Rows that the step has used up, bad ones and dropped ones too. */
  readonly rows: number;
  /** Optimizer updates to be made; 0 where every row of the step was bad. */
  readonly updates: number;
  /** Tokens that this step has read and written, counted as TRL does: a prompt once per completion. */
  readonly tokens: number;
  readonly completions: readonly CompletionRecord[];
  /** May be empty: an update with no gradient still moves the optimizer's moments. Asked for in order, when it is due. */
  microBatches(update: number, signal: AbortSignal | undefined): Promise<MicroBatch[]>;
  /** Called after each micro-batch, in order. */
  observe(update: number, index: number, result: AccumulateResult): void;
  /** Called when all micro-batches of an update were observed. */
  updateDone(update: number): void;
  /** Once all updates are made. */
  metrics(): Metrics;
}
