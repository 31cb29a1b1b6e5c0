import { batchPlan } from "./batch-plan.js";
import { DataOrder } from "./data-order.js";
import { GrpoObjective } from "./grpo.js";
import { Guards } from "./guards.js";
import { baseRateAt, type LearningRateChanges } from "./learning-rate.js";
import type { LoopParts, OptimizerSettings } from "./loop.js";
import type { Objective } from "./objective.js";
import type { RunPlan } from "./options.js";
import { RowSource } from "./rows.js";
import { learningRateAt } from "./schedule.js";
import type { Session } from "./session.js";
import { SftObjective } from "./sft.js";

/** What the loop works with. */
export function makeParts(plan: RunPlan, session: Session, lastCheckpoint: () => string | undefined): LoopParts {
  const { config } = plan;
  const { seed, shuffleDataset, maxSteps, numTrainEpochs } = config;
  const rows = session.rows.length;
  const order = new DataOrder({
    ...{ files: session.files, weights: config.datasetWeights, curriculum: config.curriculum },
    ...{ seed, shuffle: shuffleDataset },
  });
  const end = maxSteps >= 0 ? Number.POSITIVE_INFINITY : order.endOf(numTrainEpochs);
  const totalSteps = maxSteps >= 0 ? maxSteps : Math.ceil(end / batchPlan(config).promptsPerRollout);
  return {
    model: session.model,
    objective: makeObjective(plan, session),
    order,
    rows,
    totalSteps,
    end,
    seed,
    optimizer: (step, changes) => optimizerSettings(config, step, totalSteps, changes),
    guards: new Guards(lastCheckpoint),
  };
}

function makeObjective(plan: RunPlan, session: Session): Objective {
  const { model, reference, processor, scorer, maxTokensPerMicrobatch } = session;
  const { config } = plan;
  const room = model.info().maxPositionEmbeddings;
  const { promptsPerRollout: promptsPerStep } = batchPlan(config);
  const rows = new RowSource(session.rows, processor, {
    promptSuffix: config.promptSuffix,
    maxPromptTokens: plan.objective === "grpo" ? room - config.maxCompletionLength : room,
    seed: config.seed,
    augment: plan.config.augment,
    alpha: config.alpha,
  });
  return plan.objective === "grpo"
    ? new GrpoObjective({ model, reference, processor, rows, scorer, config: plan.config, maxTokensPerMicrobatch })
    : new SftObjective({ processor, rows, promptsPerStep, maxTokensPerMicrobatch, maxTokens: room });
}

function scheduleOf(config: RunPlan["config"], totalSteps: number) {
  const { lrSchedulerType: kind, lrSchedulerKwargs: kwargs, warmupSteps, warmupRatio, learningRate } = config;
  return { kind, kwargs, totalSteps, warmupSteps, warmupRatio, baseLearningRate: learningRate };
}

/** Whether the learning rates of the steps that are done would have been the same with another number of steps. */
export function sameSchedule(config: RunPlan["config"], done: number, before: number, now: number): boolean {
  if (before === now) return true;
  // By factors, as rates may be changed on the way, also from 0.
  const factor = (step: number, total: number) =>
    learningRateAt(step, { ...scheduleOf(config, total), learningRate: 1 });
  for (let step = 0; step < done; step += 1) if (factor(step, before) !== factor(step, now)) return false;
  return true;
}

function optimizerSettings(
  config: RunPlan["config"],
  step: number,
  totalSteps: number,
  changes: LearningRateChanges,
): OptimizerSettings {
  const { learningRate: configured, visionLearningRate, mergerLearningRate } = config;
  const base = baseRateAt(changes, step, configured);
  // Rates of parts keep their proportion to it; where there is none they stay.
  const scaled = (own: number) => (base === configured || configured === 0 ? own : own * (base / configured));
  const vision = visionLearningRate === undefined ? base : scaled(visionLearningRate);
  const merger = mergerLearningRate === undefined ? base : scaled(mergerLearningRate);
  // Its factor stays that of the configured rate, so that min_lr and lr_end keep their proportion too.
  const schedule = scheduleOf(config, totalSteps);
  const rate = (learningRate: number) => learningRateAt(step, { ...schedule, learningRate });
  return {
    learningRate: { vision: rate(vision), merger: rate(merger), language: rate(base) },
    beta1: config.adamBeta1,
    beta2: config.adamBeta2,
    epsilon: config.adamEpsilon,
    weightDecay: config.weightDecay,
    maxGradNorm: config.maxGradNorm === 0 ? Number.POSITIVE_INFINITY : config.maxGradNorm,
    seed: config.seed,
  };
}
