import type { AccumulateArgs, AccumulateResult } from "../engine/index.js";
import type { CompletionRecord, Metrics, Progress } from "../report/index.js";
import type { Place } from "./data-order.js";

/** One step's share of the data. */
export interface StepPlan {
  /** From 0. */
  step: number;
  places: readonly Place[];
}

export interface StepContext {
  signal?: AbortSignal | undefined;
  onProgress(progress: Progress): void;
  /** Something that went wrong without ending the step. */
  warn(message: string): void;
}

/**
 * What a run optimises. The loop asks it to prepare a step (sample and judge completions, or read answers), hands the
 * micro-batches that come back to the engine, and shows it what the engine measured.
 */
export interface Objective {
  /** Optimizer updates that are made with the data of one step. */
  readonly iterations: number;
  prepare(plan: StepPlan, context: StepContext): Promise<PreparedStep>;
  /** Starts to read the rows of a later step, while the engine computes this one. */
  prefetch(plan: StepPlan): void;
  /** Numbers that later steps depend on, beside the weights; a checkpoint keeps them. */
  state(): Record<string, number>;
  restore(state: Readonly<Record<string, number>>): void;
}

/** What one forward and backward pass computes. */
export type MicroBatch = Pick<AccumulateArgs, "groups" | "loss">;

export interface PreparedStep {
  /** Groups that could be made; 0 where every row of the step was bad, and nothing is updated. */
  readonly groups: number;
  /** Tokens that this step has read and written, counted as TRL does: a prompt once per completion. */
  readonly tokens: number;
  readonly completions: readonly CompletionRecord[];
  /** May be empty: an update with no gradient still moves the optimizer's moments. */
  microBatches(iteration: number): MicroBatch[];
  /** Called after each micro-batch, in order. */
  observe(iteration: number, index: number, result: AccumulateResult): void;
  /** Once all iterations are done. */
  metrics(): Metrics;
}
