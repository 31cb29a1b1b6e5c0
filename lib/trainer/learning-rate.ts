import { z } from "zod";
import { show } from "../config/parse.js";
import { VlmR1Error } from "../errors/index.js";

/**
 * Learning rates that were set while a run went on, in the order of the steps: each holds from `step` (from 0) until the
 * next one. They are named by the step, so that a run that goes on from any checkpoint changes where it changed before.
 */
export const LearningRateChanges = z.array(z.object({ step: z.int().min(0), learningRate: z.number().min(0) }));

export type LearningRateChanges = z.output<typeof LearningRateChanges>;

/** The highest learning rate of the schedule at a step (from 0): `configured`, unless it was changed by then. */
export function baseRateAt(changes: LearningRateChanges, step: number, configured: number): number {
  return changes.findLast((change) => change.step <= step)?.learningRate ?? configured;
}

/** The changes with one more, which replaces those of the same step and later ones. */
export function withChange(changes: LearningRateChanges, step: number, learningRate: number): LearningRateChanges {
  return [...changes.filter((change) => change.step < step), { step, learningRate }];
}

/** @throws VlmR1Error `ERR_ARGUMENT` for what is no learning rate */
export function checkLearningRate(value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw new VlmR1Error("ERR_ARGUMENT", `learning rate: expected a number of at least 0, got ${show(value)}`, {
    hint: "For example 1e-6; it takes the place of learning_rate, and the schedule goes on from where it is.",
  });
}
