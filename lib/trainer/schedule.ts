import { VlmR1Error } from "../errors/index.js";

export type ScheduleKind =
  | "constant"
  | "constant_with_warmup"
  | "linear"
  | "cosine"
  | "cosine_with_restarts"
  | "cosine_with_min_lr"
  | "polynomial"
  | "inverse_sqrt"
  | "warmup_stable_decay";

export interface ScheduleOptions {
  kind: ScheduleKind;
  /** The highest learning rate, reached when the warm-up is over. */
  learningRate: number;
  totalSteps: number;
  /** Wins over `warmupRatio` where it is not 0. */
  warmupSteps?: number;
  /** Share of all steps, rounded up. */
  warmupRatio?: number;
}

/**
 * The learning rate of a step (from 0), as transformers' schedulers of the same names give it: a linear warm-up from
 * 0, then constant, or down to 0 at the end in a line or half a cosine.
 */
export function learningRateAt(step: number, options: ScheduleOptions): number {
  const { kind, learningRate, totalSteps, warmupSteps = 0, warmupRatio = 0 } = options;
  const warmup = warmupSteps > 0 ? warmupSteps : Math.ceil(totalSteps * warmupRatio);
  if (step < warmup) return (learningRate * step) / Math.max(1, warmup);
  const progress = Math.min(1, (step - warmup) / Math.max(1, totalSteps - warmup));
  switch (kind) {
    case "constant":
      return learningRate;
    case "linear":
      return learningRate * (1 - progress);
    case "cosine":
      return learningRate * 0.5 * (1 + Math.cos(Math.PI * progress));
    default:
      throw new VlmR1Error("ERR_CONFIG", `lr_scheduler_type: expected constant, linear or cosine, got ${String(kind)}`);
  }
}
