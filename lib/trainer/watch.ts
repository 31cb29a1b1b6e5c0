import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import type { Metrics } from "../report/index.js";
import { type History, SIGNS, type Sign, type SignName, type WatchOptions } from "./watch-signs.js";

/** Weights of a new value: means over about ten and about fifty steps. */
const SMOOTH = 0.1;
const SLOW = 0.02;
/** Steps whose mean is where a run began. */
const START_STEPS = 10;
/** Good steps in a row after which an episode is over, and the next one is said again. */
const RECOVERY = 20;

const numbers = z.record(z.string(), z.number());
const counts = z.record(z.string(), z.int().min(0));
const WatchStateSchema = z.object({
  steps: z.int().min(0),
  smooth: numbers,
  slow: numbers,
  start: numbers,
  counts,
  best: z.number().nullable(),
  variance: z.number(),
  worstVariance: z.number(),
  constantReward: z.boolean(),
  /** The reward of the first step. */
  firstReward: z.number().nullable(),
  signs: z.record(z.string(), z.object({ bad: z.int(), good: z.int(), said: z.boolean() })),
});

/** Plain JSON. */
export type WatchState = z.output<typeof WatchStateSchema>;

const REWARD = "reward";
const GRADIENT = "grad_norm";
const REWARD_MEAN = /^rewards\/(.+)\/mean$/;

/**
 * Looks for the known ways in which training by rewards goes wrong, and says what people do about them. It stops
 * nothing. What it says is a function of the metrics alone: a run that goes on with `restore` hears the same.
 *
 * Each sign is said once per episode, and again only after it was gone for a while. docs/guards.md lists them.
 */
export class Watch {
  private memory: WatchState = newState();

  constructor(private readonly options: WatchOptions) {}

  /**
   * @param step Steps that are done, this one included.
   * @param metrics By TRL's names; what is missing or no number is left out.
   * @param learningRate What advice is about, where it is no longer that of the options.
   * @returns What is to be said now
   */
  observe(step: number, metrics: Metrics, learningRate = this.options.learningRate): string[] {
    const { memory } = this;
    const options = { ...this.options, learningRate };
    memory.steps += 1;
    this.learn(metrics);
    const history = this.history(metrics);
    const said = (Object.keys(SIGNS) as SignName[]).flatMap((name) =>
      this.judge(name, SIGNS[name], history) ? [`step ${step}: ${SIGNS[name].text(history, options)}`] : [],
    );
    this.settle(metrics);
    return said;
  }

  state(): WatchState {
    return structuredClone(this.memory);
  }

  /** @throws VlmR1Error `ERR_CHECKPOINT` for what `state` did not give */
  restore(state: unknown): void {
    const { success, data, error } = WatchStateSchema.safeParse(state);
    if (!success) {
      const path = error.issues[0]?.path.join(".") ?? "";
      throw new VlmR1Error("ERR_CHECKPOINT", `watch: expected the state of an earlier one, ${path} is something else`);
    }
    this.memory = structuredClone(data);
  }

  private learn(metrics: Metrics): void {
    const { memory } = this;
    for (const [name, value] of measured(metrics)) {
      const count = (memory.counts[name] ?? 0) + 1;
      memory.counts[name] = count;
      memory.smooth[name] = blend(memory.smooth[name], value, Math.max(SMOOTH, 1 / count));
      if (count <= START_STEPS) memory.start[name] = blend(memory.start[name], value, 1 / count);
    }
    this.learnReward(metrics);
  }

  private learnReward({ reward, reward_std: deviation }: Metrics): void {
    const { memory } = this;
    if (reward === undefined || !Number.isFinite(reward)) return;
    memory.firstReward ??= reward;
    if (reward !== memory.firstReward || !(deviation === 0)) memory.constantReward = false;
    const smooth = memory.smooth[REWARD] as number;
    // Before that it is the mean of a few steps.
    if ((memory.counts[REWARD] as number) >= START_STEPS) memory.best = Math.max(memory.best ?? smooth, smooth);
  }

  /** What later steps are compared with: a step must not be compared with itself. */
  private settle(metrics: Metrics): void {
    const { memory } = this;
    for (const [name, value] of measured(metrics)) {
      const count = memory.counts[name] as number;
      const before = memory.slow[name];
      // A spike must not hide the next one.
      const bounded = name === GRADIENT && before !== undefined ? Math.min(value, 3 * before) : value;
      memory.slow[name] = blend(before, bounded, Math.max(SLOW, 1 / count));
      if (name !== REWARD) continue;
      const distance = (value - (memory.smooth[REWARD] as number)) ** 2;
      memory.variance = count === 1 ? 0 : blend(memory.variance, distance, Math.max(SLOW, 1 / (count - 1)));
      // Where rewards are rare, a lucky step at the start is no height to fall from.
      if (count >= START_STEPS) memory.worstVariance = Math.max(memory.worstVariance, memory.variance);
    }
  }

  private history(metrics: Metrics): History {
    const { memory } = this;
    const read = (numbers: Readonly<Record<string, number>>) => (name: string) => numbers[name] ?? Number.NaN;
    return {
      steps: memory.steps,
      now: read(metrics),
      smooth: read(memory.smooth),
      slow: read(memory.slow),
      start: read(memory.start),
      best: memory.best ?? Number.NaN,
      noise: Math.sqrt(memory.worstVariance),
      constantReward: memory.constantReward && memory.firstReward !== null,
      rewards: Object.keys(memory.counts).flatMap((name) => REWARD_MEAN.exec(name)?.[1] ?? []),
    };
  }

  /** Whether the sign is to be said. */
  private judge(name: SignName, sign: Sign, history: History): boolean {
    const { signs } = this.memory;
    signs[name] ??= { bad: 0, good: 0, said: false };
    const own = signs[name];
    const bad = sign.bad(history);
    own.bad = bad ? own.bad + 1 : 0;
    own.good = !bad && sign.good(history) ? own.good + 1 : 0;
    if (own.good >= RECOVERY) own.said = false;
    if (own.said || own.bad < sign.patience) return false;
    own.said = true;
    return true;
  }
}

function newState(): WatchState {
  return {
    steps: 0,
    smooth: {},
    slow: {},
    start: {},
    counts: {},
    best: null,
    variance: 0,
    worstVariance: 0,
    constantReward: true,
    firstReward: null,
    signs: {},
  };
}

const WATCHED = new Set([
  REWARD,
  ...["frac_reward_zero_std", "completions/mean_length", "completions/clipped_ratio"],
  ...["kl", "entropy", GRADIENT, "clip_ratio/region_mean"],
]);

function measured(metrics: Metrics): [string, number][] {
  return Object.entries(metrics).filter(
    ([name, value]) =>
      Number.isFinite(value) && (WATCHED.has(name) || REWARD_MEAN.test(name)) && !isNoGradient(name, value),
  );
}

/** A step without any advantage has a gradient of 0, which says nothing about the size of others. */
function isNoGradient(name: string, value: number): boolean {
  return name === GRADIENT && value === 0;
}

function blend(mean: number | undefined, value: number, weight: number): number {
  return mean === undefined ? value : mean + weight * (value - mean);
}
