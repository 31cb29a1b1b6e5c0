import type { GrpoConfig } from "../config/train-schema.js";

/** The options that advice names, with their values. */
export type WatchOptions = Pick<
  GrpoConfig,
  "learningRate" | "beta" | "numGenerations" | "maxCompletionLength" | "temperature" | "epsilon" | "numIterations"
>;

/** What the metrics were up to now. Numbers that were never measured are NaN, with which every comparison is false. */
export interface History {
  /** Steps that were observed. */
  readonly steps: number;
  /** Of this step. */
  now(name: string): number;
  /** Over about ten steps. */
  smooth(name: string): number;
  /** Over about fifty steps, without this one. */
  slow(name: string): number;
  /** The mean of the first ten steps. */
  start(name: string): number;
  /** The highest that the smoothed reward was, and how far at most the rewards of single steps lay from it (σ). */
  readonly best: number;
  readonly noise: number;
  /** Whether every completion of every step had the same reward. */
  readonly constantReward: boolean;
  /** Names of the rewards. */
  readonly rewards: readonly string[];
}

export interface Sign {
  /** Bad steps in a row before it is said. */
  patience: number;
  bad(history: History): boolean;
  /** Recovered; well apart from `bad`, so that it is not said again and again at the border. */
  good(history: History): boolean;
  /** What is seen, and what people do about it. */
  text(history: History, options: WatchOptions): string;
}

/** Three digits say enough. */
const show = (value: number) => String(Number(value.toPrecision(3)));
const percent = (share: number) => `${Math.round(100 * share)} %`;

const REWARD = "reward";
const ZERO_STD = "frac_reward_zero_std";
const LENGTH = "completions/mean_length";
const CLIPPED = "completions/clipped_ratio";
const REGION = "clip_ratio/region_mean";
const meanOf = (reward: string) => `rewards/${reward}/mean`;

/** Half of what was won is lost: less than that are the ups and downs of a run. */
const COLLAPSE_OF_GAIN = 0.5;
/** A smoothed value moves by 0.23 σ, so this is more than six times its own noise. */
const COLLAPSE_OF_NOISE = 1.5;
/** A fall of less than a tenth of the best is no collapse, however quiet the reward is. */
const COLLAPSE_OF_BEST = 0.1;

/** The least fall of the reward that is a collapse. */
function collapse({ best, noise, start }: History): number {
  const gain = Math.max(0, best - start(REWARD));
  return Math.max(COLLAPSE_OF_GAIN * gain, COLLAPSE_OF_NOISE * noise, COLLAPSE_OF_BEST * Math.abs(best));
}

const rewardCollapse: Sign = {
  // A row of hard questions is over by then.
  patience: 20,
  bad: (history) => history.best - history.smooth(REWARD) > collapse(history),
  good: (history) => history.best - history.smooth(REWARD) < 0.5 * collapse(history),
  text: ({ best, smooth }, { learningRate, beta }) =>
    `the reward has fallen from ${show(best)} to ${show(smooth(REWARD))} and stays there. Go back to an earlier ` +
    `checkpoint, lower learning_rate (${show(learningRate)}) to ${show(learningRate / 3)}, and ` +
    `${raiseBeta(beta)}; read completions.jsonl for what the model writes now`,
};

function raiseBeta(beta: number): string {
  return beta === 0 ? "set beta (0) to 0.04" : `raise beta (${show(beta)}) to ${show(beta * 2)}`;
}

/** Above it, four groups of five teach nothing. */
const ZERO_STD_HIGH = 0.8;
const ZERO_STD_FINE = 0.65;

const zeroStd: Sign = {
  patience: 30,
  bad: (history) => !history.constantReward && history.smooth(ZERO_STD) > ZERO_STD_HIGH,
  good: (history) => history.smooth(ZERO_STD) < ZERO_STD_FINE,
  text: ({ smooth }, { numGenerations, temperature }) =>
    `in ${percent(smooth(ZERO_STD))} of the groups all completions have the same reward, so they teach nothing. Raise ` +
    `num_generations (${numGenerations}) to ${2 * numGenerations}, set dynamic_sampling, leave out questions that are ` +
    `always or never solved, or raise temperature (${show(temperature)}); where the reward is as high as it can be, ` +
    "the run is done",
};

/** Half of the completions are cut off, and rewarded for what they did not get to say. */
const CLIPPED_HIGH = 0.5;
/** With lengths that grow, this share is a trend already. */
const CLIPPED_GROWING = 0.2;
const CLIPPED_FINE = 0.1;
const LENGTH_GROWTH = 1.5;

const lengthExplosion: Sign = {
  patience: 20,
  bad: ({ smooth, start }) =>
    smooth(CLIPPED) > CLIPPED_HIGH ||
    (smooth(CLIPPED) > CLIPPED_GROWING && smooth(LENGTH) > LENGTH_GROWTH * start(LENGTH)),
  good: ({ smooth }) => smooth(CLIPPED) < CLIPPED_FINE,
  text: ({ smooth, start }, { maxCompletionLength: max }) =>
    `${percent(smooth(CLIPPED))} of the completions reach max_completion_length (${max}) without an end; their mean ` +
    `length went from ${show(start(LENGTH))} to ${show(smooth(LENGTH))} tokens. Where answers need the room raise ` +
    `max_completion_length to ${2 * max}; where they ramble set mask_truncated_completions, add a reward for ` +
    "ending, or use loss_type: dr_grpo, which does not favour length",
};

/** Less than a third of the length at the start: reasoning is gone. */
const LENGTH_COLLAPSE = 0.3;
const LENGTH_RECOVERED = 0.5;
/** Answers of a few words have no length to lose. */
const LENGTH_MIN = 16;

const lengthCollapse: Sign = {
  patience: 20,
  bad: ({ smooth, start }) => start(LENGTH) >= LENGTH_MIN && smooth(LENGTH) < LENGTH_COLLAPSE * start(LENGTH),
  good: ({ smooth, start }) => smooth(LENGTH) > LENGTH_RECOVERED * start(LENGTH),
  text: ({ smooth, start }, { learningRate, beta }) =>
    `completions have shrunk from ${show(start(LENGTH))} to ${show(smooth(LENGTH))} tokens. Read completions.jsonl: ` +
    "where the reward can be had without an answer or its reasoning, make the reward ask for them (the format " +
    `reward does); else lower learning_rate (${show(learningRate)}) or ${raiseBeta(beta)}`,
};

/** Nats per token. Runs that go well stay below 0.3. */
const KL_HIGH = 1;
const KL_FINE = 0.5;
/** Ten times the mean of the last steps, from a size on that matters. */
const KL_JUMP = 10;
const KL_JUMP_MIN = 0.2;

const klExplosion: Sign = {
  patience: 5,
  bad: ({ smooth, slow }) =>
    smooth("kl") > KL_HIGH || (smooth("kl") > KL_JUMP_MIN && smooth("kl") > KL_JUMP * slow("kl")),
  good: ({ smooth }) => smooth("kl") < KL_FINE && !(smooth("kl") < 0),
  text: ({ smooth }, { learningRate, beta }) =>
    `the KL divergence from the reference is ${show(smooth("kl"))} per token: the model leaves what it could. Lower ` +
    `learning_rate (${show(learningRate)}) to ${show(learningRate / 3)} or ${raiseBeta(beta)}; with a long run set ` +
    "sync_ref_model",
};

/** Nats per token below which sampling gives the same completion every time. */
const ENTROPY_DEAD = 0.005;
const ENTROPY_COLLAPSE = 0.15;
const ENTROPY_LOW = 0.1;

const entropyCollapse: Sign = {
  patience: 20,
  bad: ({ smooth, start }) =>
    smooth("entropy") < ENTROPY_DEAD ||
    (smooth("entropy") < ENTROPY_LOW && smooth("entropy") < ENTROPY_COLLAPSE * start("entropy")),
  good: ({ smooth, start }) =>
    smooth("entropy") > 2 * ENTROPY_DEAD &&
    (smooth("entropy") > ENTROPY_LOW || smooth("entropy") > 2 * ENTROPY_COLLAPSE * start("entropy")),
  text: ({ smooth, start }, { temperature, epsilon }) =>
    `the entropy has fallen from ${show(start("entropy"))} to ${show(smooth("entropy"))} per token: completions hardly ` +
    `differ any more. Set epsilon_high above epsilon (${show(epsilon)}): 0.28 is usual; set entropy_coef to 0.001 or ` +
    `use_adaptive_entropy, raise temperature (${show(temperature)}), or lower learning_rate`,
};

/** Nats per token above the start. */
const ENTROPY_RISE = 1;
const ENTROPY_RISE_FINE = 0.5;

const entropyExplosion: Sign = {
  patience: 20,
  bad: ({ smooth, start }) =>
    smooth("entropy") > start("entropy") + ENTROPY_RISE && smooth("entropy") > 2 * start("entropy"),
  good: ({ smooth, start }) => smooth("entropy") < start("entropy") + ENTROPY_RISE_FINE,
  text: ({ smooth, start }, { learningRate, temperature }) =>
    `the entropy has risen from ${show(start("entropy"))} to ${show(smooth("entropy"))} per token: the model forgets how ` +
    `to write. Lower learning_rate (${show(learningRate)}) to ${show(learningRate / 3)}, lower entropy_coef where it ` +
    `is set, or lower temperature (${show(temperature)}) or top_p`,
};

/** Times the mean of the last fifty steps. Rewards that come by chance make factors of three. */
const GRADIENT_SPIKE = 10;
const GRADIENT_FINE = 3;
/** Before that there is no mean to speak of. */
const GRADIENT_STEPS = 20;

const gradientSpike: Sign = {
  patience: 1,
  bad: ({ now, slow, steps }) => steps > GRADIENT_STEPS && now("grad_norm") > GRADIENT_SPIKE * slow("grad_norm"),
  good: ({ now, slow }) => now("grad_norm") < GRADIENT_FINE * slow("grad_norm"),
  text: ({ now, slow }, { learningRate }) =>
    `the norm of the gradient is ${show(now("grad_norm"))}, after ${show(slow("grad_norm"))} before. Where it comes ` +
    `again lower max_grad_norm to 0.2, lower learning_rate (${show(learningRate)}), or raise prompts_per_step or ` +
    "gradient_accumulation_steps",
};

/** Where a fifth of the tokens is clipped, updates are too large for the old policy to say anything about them. */
const CLIP_HIGH = 0.2;
const CLIP_FINE = 0.1;

const clipHigh: Sign = {
  patience: 10,
  bad: ({ smooth }) => smooth(REGION) > CLIP_HIGH,
  good: ({ smooth }) => smooth(REGION) < CLIP_FINE,
  text: ({ smooth }, { learningRate, numIterations }) =>
    `${percent(smooth(REGION))} of the tokens are clipped. Lower learning_rate (${show(learningRate)}) to ` +
    `${show(learningRate / 3)}, num_iterations (${numIterations}) or steps_per_generation: completions are used too ` +
    "long after they were sampled",
};

const FORMAT = /format|tag/i;
/** Means of rewards between 0 and 1. */
const FORMAT_HIGH = 0.8;
const OTHERS_ZERO = 0.02;
const OTHERS_FINE = 0.05;

const others = ({ rewards }: History) => rewards.filter((name) => !FORMAT.test(name));
const formats = ({ rewards }: History) => rewards.filter((name) => FORMAT.test(name));

const formatOnly: Sign = {
  // The format is learnt first; the answer may take its time.
  patience: 50,
  bad: (history) =>
    others(history).length > 0 &&
    formats(history).some((name) => history.smooth(meanOf(name)) > FORMAT_HIGH) &&
    others(history).every((name) => Math.abs(history.smooth(meanOf(name))) < OTHERS_ZERO),
  good: (history) => others(history).some((name) => Math.abs(history.smooth(meanOf(name))) > OTHERS_FINE),
  text: (history, { numGenerations }) =>
    `the reward for the form (${formats(history).join(", ")}) is high while ${others(history).join(", ")} stays 0: the ` +
    "model learns to look right only. Check by completions.jsonl that a right answer would be found right, lower the " +
    `weight of the form in reward_weights, start with easier questions or sft, or raise num_generations (${numGenerations})`,
};

const deadReward: Sign = {
  patience: 20,
  bad: ({ constantReward }) => constantReward,
  good: ({ constantReward }) => !constantReward,
  text: ({ steps, now }, { numGenerations }) =>
    `every completion of the first ${steps} steps has the reward ${show(now(REWARD))}: there is nothing to learn from. ` +
    "Check by completions.jsonl that the reward can differ and reads the answer where the model writes it; start " +
    `with easier questions or sft; raise num_generations (${numGenerations}) to ${2 * numGenerations}`,
};

const noReward: Sign = {
  patience: 3,
  bad: ({ now }) => Number.isNaN(now(REWARD)) && !Number.isNaN(now(LENGTH)),
  good: ({ now }) => !Number.isNaN(now(REWARD)),
  text: () =>
    "no reward applied to any completion of the last 3 steps: nothing is learned from them. See by completions.jsonl " +
    "(null: not applicable) whether the rows have what the rewards read, such as a box for iou, and choose rewards that " +
    "fit the data; where they are for a part of the rows only, raise prompts_per_step",
};

/** By name, in the order in which they are said. */
export const SIGNS = {
  reward_collapse: rewardCollapse,
  dead_reward: deadReward,
  no_reward: noReward,
  zero_std: zeroStd,
  format_only: formatOnly,
  length_explosion: lengthExplosion,
  length_collapse: lengthCollapse,
  kl_explosion: klExplosion,
  entropy_collapse: entropyCollapse,
  entropy_explosion: entropyExplosion,
  gradient_spike: gradientSpike,
  clip_ratio: clipHigh,
} as const satisfies Record<string, Sign>;

export type SignName = keyof typeof SIGNS;
