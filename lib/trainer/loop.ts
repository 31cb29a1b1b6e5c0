import { RandomStream } from "../data/random.js";
import type { Model, StepArgs, StepOptions } from "../engine/index.js";
import { throwIfAborted } from "../errors/index.js";
import type { Metrics, StepReport } from "../report/index.js";
import { span } from "../report/spans.js";
import type { DataOrder } from "./data-order.js";
import type { Guards } from "./guards.js";
import type { LearningRateChanges } from "./learning-rate.js";
import type { Objective, PreparedStep, StepContext, StepPlan } from "./objective.js";

/** Keeps the adapter's dropout apart from other random numbers of the same seed. */
const DROPOUT = 1;

export type OptimizerSettings = StepOptions & Pick<StepArgs, "learningRate">;

export interface LoopParts {
  model: Model;
  objective: Objective;
  order: Pick<DataOrder, "take">;
  rows: number;
  totalSteps: number;
  seed: number;
  /** The run's last position in the data. */
  end: number;
  /** The optimizer's settings for a step, from 0. */
  optimizer(step: number, changes: LearningRateChanges): OptimizerSettings;
  guards: Guards;
}

/** What the loop counts; a checkpoint keeps it. */
export interface LoopState {
  /** Steps that are done. */
  step: number;
  /** Rows that were taken, which is where in the data the next step begins. */
  position: number;
  /** Optimizer updates that were made: in a step that fails between two of its own, more than its beginning had. */
  updates: number;
  learningRateChanges: LearningRateChanges;
  numTokens: number;
  seconds: number;
}

/** Dynamic sampling may use up the data in fewer steps than were planned. */
export function isDone({ totalSteps, end }: LoopParts, { step, position }: LoopState): boolean {
  return step >= totalSteps || position >= end;
}

/**
 * One step: rows → completions and rewards (or answers) → micro-batches → updates. Interrupted before the first update,
 * it leaves no trace and rejects; after that it is finished, so that the weights are always those of a whole step.
 */
export async function trainStep(parts: LoopParts, state: LoopState, context: StepContext): Promise<StepReport> {
  const { objective, rows, end, totalSteps } = parts;
  const started = performance.now();
  const { step } = state;
  throwIfAborted(context.signal);
  const prepared = await objective.prepare(planOf(parts, step, state.position), context);
  const position = Math.min(end, state.position + prepared.rows);
  if (step + 1 < totalSteps && position < end) objective.prefetch(planOf(parts, step + 1, position));
  const update = prepared.updates === 0 ? {} : await updateWeights(parts, prepared, state, context);
  await objective.stepDone(step + 1);
  const seconds = (performance.now() - started) / 1000;
  state.step = step + 1;
  state.position = position;
  state.numTokens += prepared.tokens;
  state.seconds += seconds;
  return {
    step: state.step,
    totalSteps,
    epoch: position / rows,
    metrics: { ...prepared.metrics(), ...update, num_tokens: state.numTokens, step_time: seconds },
    completions: prepared.completions,
  };
}

function planOf({ order, end }: LoopParts, step: number, position: number): StepPlan {
  return { step, position, take: (from, count) => order.take(from, count, end) };
}

async function updateWeights(
  parts: LoopParts,
  prepared: PreparedStep,
  state: LoopState,
  context: StepContext,
): Promise<Metrics> {
  const { model, guards } = parts;
  const { step } = state;
  const settings = parts.optimizer(step, state.learningRateChanges);
  const norms = { before: 0, after: 0, updates: 0 };
  for (let update = 0; update < prepared.updates; update += 1) {
    // Once the weights have changed the step cannot be dropped any more.
    const signal = update === 0 ? context.signal : undefined;
    const loss = await accumulate(parts, prepared, { step, update }, { ...context, signal });
    if (!guards.lossIsFinite(step, loss, context.warn)) {
      // Its gradients say nothing, and must not leak into the next update.
      await model.zeroGradients();
      continue;
    }
    const result = await span("optimizer step", () => model.step(settings));
    state.updates += 1;
    guards.check(step, result, context.warn);
    norms.before += result.gradNorm;
    norms.after += result.gradNormClipped;
    norms.updates += 1;
  }
  const { vision, merger, language } = settings.learningRate;
  const several = vision !== language || merger !== language;
  return {
    grad_norm: norms.before / norms.updates,
    grad_norm_clipped: norms.after / norms.updates,
    learning_rate: language,
    ...(several ? { "learning_rate/vision": vision, "learning_rate/merger": merger } : {}),
    num_updates: norms.updates,
    ...guards.metrics(),
  };
}

/** Forward and backward of all that one update is made of; the loss. */
async function accumulate(
  { model, seed }: LoopParts,
  prepared: PreparedStep,
  { step, update }: { step: number; update: number },
  { signal, onProgress }: StepContext,
): Promise<number> {
  let loss = 0;
  try {
    const batches = await prepared.microBatches(update, signal);
    for (const [index, batch] of batches.entries()) {
      const dropoutSeed = new RandomStream(seed, DROPOUT, step, update, index).next();
      const result = await span("micro-batch", () => model.accumulate({ ...batch, dropoutSeed, signal }));
      prepared.observe(update, index, result);
      loss += result.loss;
      onProgress({ phase: "training", fraction: (update + (index + 1) / batches.length) / prepared.updates });
    }
    throwIfAborted(signal);
    prepared.updateDone(update);
    return loss;
  } catch (error) {
    // Half an update's gradients must not leak into the next one.
    if (!model.disposed) await model.zeroGradients();
    throw error;
  }
}
