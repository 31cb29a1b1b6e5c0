import { z } from "zod";
import type { StepReport } from "../report/index.js";
import { LearningRateChanges } from "./learning-rate.js";
import type { RunPlan } from "./options.js";
import { optionsOfState } from "./resume-options.js";
import type { Session } from "./session.js";

const HistoryEntry = z.object({
  step: z.int(),
  reward: z.number().nullable(),
  loss: z.number().nullable(),
  maxLogpDifference: z.number().nullable(),
});

const BestEvaluation = z.object({ metric: z.string(), value: z.number(), step: z.int() });
export type BestEvaluation = z.output<typeof BestEvaluation>;

/** What is told of itself by something that watches a run; plain JSON. */
const Remembered = z.record(z.string(), z.unknown());
export type Remembered = z.output<typeof Remembered>;

const common = {
  objective: z.enum(["grpo", "sft"]),
  /** Steps that are done. */
  step: z.int().min(0),
  totalSteps: z.int(),
  /** Where in the data the next step begins; the order of rows is computed from it and the seed. */
  position: z.int().min(0),
  /** Rows of the data. */
  rows: z.int(),
  train: z.enum(["full", "lora"]),
  trainableParameters: z.int(),
  numTokens: z.number(),
  /** Time spent in steps. */
  seconds: z.number(),
  history: z.array(HistoryEntry),
};

/**
 * All that a run needs to go on, beside the model's and the optimizer's state. There are no random number generators in
 * it: every random number is computed from the seed and where it is used (row, position, step, update), so these numbers
 * are the generators' state.
 */
const TrainerStateSchema = z.object({
  version: z.literal(2),
  ...common,
  /** Optimizer updates that are done. */
  updates: z.int().min(0),
  /** Options that bits depend on, as the run had them when it was here. */
  options: z.record(z.string(), z.unknown()),
  /** Numbers of the objective that later steps depend on. */
  objectiveState: z.record(z.string(), z.number()).default({}),
  learningRateChanges: LearningRateChanges.default([]),
  guards: Remembered.default({}),
  watch: Remembered.default({}),
  /** The best evaluation so far; its checkpoint is kept. */
  best: BestEvaluation.nullable().default(null),
  /** `metric_for_best_model` of the evaluations so far; null where it was not a number. */
  evaluations: z.array(z.object({ step: z.int(), value: z.number().nullable() })).default([]),
  /** Evaluations in a row without a better one. */
  withoutBetter: z.int().min(0).default(0),
});

export type TrainerState = z.output<typeof TrainerStateSchema>;

/** Before there were several updates per step; its steps took `promptsPerStep` rows each. */
const Version1 = z.object({
  version: z.literal(1),
  ...common,
  seed: z.int(),
  promptsPerStep: z.int(),
  shuffleDataset: z.boolean(),
});

/** Reads what `JSON.parse` gave; throws zod's error. */
export function parseTrainerState(value: unknown): TrainerState {
  const old = Version1.safeParse(value);
  if (!old.success) return TrainerStateSchema.parse(value);
  const { version: _, seed, promptsPerStep, shuffleDataset, ...state } = old.data;
  const options = { seed, promptsPerStep, shuffleDataset };
  return TrainerStateSchema.parse({ ...state, version: 2, updates: state.step, options });
}

export function newState(
  plan: RunPlan,
  { model, adapter, rows }: Pick<Session, "model" | "adapter" | "rows">,
  totalSteps: number,
): TrainerState {
  return {
    version: 2,
    objective: plan.objective,
    step: 0,
    totalSteps,
    position: 0,
    rows: rows.length,
    train: adapter === undefined ? "full" : "lora",
    trainableParameters: model.info().trainableParameters,
    numTokens: 0,
    seconds: 0,
    history: [],
    updates: 0,
    options: optionsOfState(plan),
    objectiveState: {},
    learningRateChanges: [],
    guards: {},
    watch: {},
    best: null,
    evaluations: [],
    withoutBetter: 0,
  };
}

export function historyEntry({ step, metrics }: StepReport): TrainerState["history"][number] {
  return {
    step,
    reward: finite(metrics.reward),
    loss: finite(metrics.loss),
    maxLogpDifference: finite(metrics["sampling/sampling_logp_difference/max"]),
  };
}

/** JSON knows no NaN. */
export function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}
