import type { Metrics } from "../../lib/report/index.js";
import type { SignName, WatchOptions } from "../../lib/trainer/watch-signs.js";

/** Metrics of a step, from 1. */
export type Curve = (step: number) => Metrics;

export const OPTIONS: WatchOptions = {
  learningRate: 3e-6,
  beta: 0.04,
  numGenerations: 8,
  maxCompletionLength: 256,
  temperature: 1,
  epsilon: 0.2,
  numIterations: 2,
};

/** Up and down between -1 and 1, the same each time. */
const wobble = (step: number) => Math.sin(12.9898 * step) * Math.cos(4.1 * step);
/** From a to b between two steps, constant outside. */
const ramp = (step: number, [from, to]: [number, number], [a, b]: [number, number]) =>
  a + (b - a) * Math.min(1, Math.max(0, (step - from) / (to - from)));

/** A run as it should be: rewards rise, with noise, and all else moves a little. */
export const healthy: Curve = (step) => ({
  reward: ramp(step, [1, 300], [0.3, 1.5]) + 0.2 * wobble(step),
  reward_std: 0.4,
  "rewards/accuracy/mean": ramp(step, [1, 300], [0.1, 0.6]) + 0.1 * wobble(step),
  "rewards/format/mean": ramp(step, [1, 100], [0.2, 0.95]),
  frac_reward_zero_std: ramp(step, [1, 300], [0.1, 0.6]) + 0.1 * wobble(step + 7),
  "completions/mean_length": 120 + 15 * wobble(step + 3),
  "completions/clipped_ratio": 0.03 + 0.02 * wobble(step + 5),
  entropy: ramp(step, [1, 300], [0.5, 0.25]) + 0.05 * wobble(step + 1),
  kl: ramp(step, [1, 300], [0, 0.15]),
  "clip_ratio/region_mean": 0.02,
  grad_norm: 0.4 + 0.3 * wobble(step + 2),
});

const with_ =
  (changes: Curve): Curve =>
  (step) => ({ ...healthy(step), ...changes(step) });

/** A run per sign that has this one and, so that each text is told for its own reason, no other. */
export const TROUBLES: Readonly<Record<SignName, Curve>> = {
  reward_collapse: with_((step) => ({
    reward: step < 200 ? (healthy(step).reward as number) : 0.3 + 0.2 * wobble(step),
  })),
  dead_reward: with_(() => ({
    reward: 0,
    reward_std: 0,
    frac_reward_zero_std: 1,
    "rewards/accuracy/mean": 0,
    "rewards/format/mean": 0,
  })),
  // As of iou where no row has a box.
  no_reward: with_(() => ({
    reward: Number.NaN,
    reward_std: Number.NaN,
    frac_reward_zero_std: 0,
    "rewards/accuracy/mean": Number.NaN,
    "rewards/format/mean": Number.NaN,
  })),
  zero_std: with_((step) => ({ frac_reward_zero_std: ramp(step, [50, 150], [0.3, 0.95]) })),
  format_only: with_((step) => ({
    "rewards/accuracy/mean": 0,
    reward: healthy(step)["rewards/format/mean"] as number,
  })),
  length_explosion: with_((step) => ({
    "completions/mean_length": ramp(step, [50, 150], [120, 250]),
    "completions/clipped_ratio": ramp(step, [50, 150], [0.02, 0.9]),
  })),
  length_collapse: with_((step) => ({ "completions/mean_length": ramp(step, [50, 150], [120, 6]) })),
  kl_explosion: with_((step) => ({ kl: step < 100 ? 0.02 : 0.02 * 1.2 ** (step - 100) })),
  entropy_collapse: with_((step) => ({ entropy: 0.5 * Math.exp(-step / 40) })),
  entropy_explosion: with_((step) => ({ entropy: ramp(step, [50, 200], [0.5, 4]) })),
  gradient_spike: with_((step) => ({ grad_norm: step === 120 ? 40 : (healthy(step).grad_norm as number) })),
  clip_ratio: with_((step) => ({ "clip_ratio/region_mean": ramp(step, [50, 150], [0.02, 0.4]) })),
};

/** Steps of these runs. */
export const STEPS = 260;
