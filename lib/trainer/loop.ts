import type { Model, StepArgs, StepOptions } from "../engine/index.js";
import { throwIfAborted } from "../errors/index.js";
import type { Metrics, StepReport } from "../report/index.js";
import { span } from "../report/spans.js";
import type { DataOrder } from "./data-order.js";
import type { Guards } from "./guards.js";
import type { Objective, PreparedStep, StepContext } from "./objective.js";
import { RandomStream } from "./random.js";

/** Keeps the adapter's dropout apart from other random numbers of the same seed. */
const DROPOUT = 1;

export interface LoopParts {
  model: Model;
  objective: Objective;
  order: DataOrder;
  rows: number;
  totalSteps: number;
  seed: number;
  /** The run's last position in the data. */
  end: number;
  /** The optimizer's settings for a step, from 0. */
  optimizer(step: number): StepOptions & { learningRate: StepArgs["learningRate"] };
  guards: Guards;
}

/** What the loop counts; a checkpoint keeps it. */
export interface LoopState {
  /** Steps that are done. */
  step: number;
  /** Optimizer updates that are done; where a step fails between two of its own, more than its beginning had. */
  updates: number;
  /** Where in the data the next step begins. */
  position: number;
  numTokens: number;
  seconds: number;
}

/**
 * One step: rows → completions and rewards (or answers) → micro-batches → update. Interrupted before the first update,
 * it leaves no trace and rejects; after that it is finished, so that the weights are always those of a whole step.
 */
export async function trainStep(parts: LoopParts, state: LoopState, context: StepContext): Promise<StepReport> {
  const { order, objective, rows, end, totalSteps } = parts;
  const started = performance.now();
  const { step } = state;
  throwIfAborted(context.signal);
  const places = order.placesOf(step, end);
  const prepared = await objective.prepare({ step, places }, context);
  if (step + 1 < totalSteps) objective.prefetch({ step: step + 1, places: order.placesOf(step + 1, end) });
  const update = prepared.groups === 0 ? {} : await updateWeights(parts, prepared, state, context);
  const seconds = (performance.now() - started) / 1000;
  state.step = step + 1;
  state.position = (places.at(-1)?.position ?? state.position - 1) + 1;
  state.numTokens += prepared.tokens;
  state.seconds += seconds;
  return {
    step: state.step,
    totalSteps,
    epoch: ((places.at(-1)?.position ?? 0) + 1) / rows,
    metrics: { ...prepared.metrics(), ...update, num_tokens: state.numTokens, step_time: seconds },
    completions: prepared.completions,
  };
}

async function updateWeights(
  parts: LoopParts,
  prepared: PreparedStep,
  state: LoopState,
  context: StepContext,
): Promise<Metrics> {
  const { model, objective, guards } = parts;
  const { step } = state;
  const settings = parts.optimizer(step);
  let gradNorm = 0;
  for (let iteration = 0; iteration < objective.iterations; iteration += 1) {
    // Once the weights have changed the step cannot be dropped any more.
    const signal = iteration === 0 ? context.signal : undefined;
    await accumulate(parts, prepared, { step, iteration }, { ...context, signal });
    const result = await span("optimizer step", () => model.step(settings));
    state.updates += 1;
    guards.check(step, result, context.warn);
    gradNorm += result.gradNorm / objective.iterations;
  }
  return { grad_norm: gradNorm, learning_rate: settings.learningRate.language };
}

async function accumulate(
  { model, objective, seed }: LoopParts,
  prepared: PreparedStep,
  { step, iteration }: { step: number; iteration: number },
  { signal, onProgress }: StepContext,
): Promise<void> {
  const batches = prepared.microBatches(iteration);
  try {
    for (const [index, batch] of batches.entries()) {
      const dropoutSeed = new RandomStream(seed, DROPOUT, step, iteration, index).next();
      const result = await span("micro-batch", () => model.accumulate({ ...batch, dropoutSeed, signal }));
      prepared.observe(iteration, index, result);
      onProgress({ phase: "training", fraction: (iteration + (index + 1) / batches.length) / objective.iterations });
    }
    throwIfAborted(signal);
  } catch (error) {
    // Half a step's gradients must not leak into the next one.
    if (!model.disposed) await model.zeroGradients();
    throw error;
  }
}
