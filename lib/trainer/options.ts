import type { GrpoOptions } from "../config/grpo-options.js";
import { parseConfig } from "../config/index.js";
import type { SftOptions } from "../config/sft-options.js";
import { type GrpoConfig, grpoSchema, type SftConfig, sftSchema } from "../config/train-schema.js";
import type { Row } from "../data/datasets/index.js";
import type { Engine } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { Reporter } from "../report/index.js";
import type { RewardFunction } from "../rewards/index.js";
import type { TrainerCallbacks } from "./events.js";
import { checkGrpo } from "./grpo-rules.js";
import { checkDataOptions } from "./run-data.js";
import { checkSchedule } from "./schedule.js";

/** What code can give where a file can only give names. */
export interface InCode {
  /** Path(s) of conversations files as in a config file, or rows. */
  dataset: string | readonly Row[];
  evalDataset?: string | readonly Row[] | undefined;
  /** Functions, built-in names and files, mixed as wanted. */
  rewards?: readonly (RewardFunction | string)[] | undefined;
  /** An engine to share; it is left open. Without one the trainer opens and closes its own. */
  engine?: Engine | undefined;
  /** Told of everything that happens, beside the files that a run writes. */
  reporters?: readonly Reporter[] | undefined;
  /** Functions of one's own that are called as the run goes on, and may steer it. */
  callbacks?: TrainerCallbacks | undefined;
}

type InFile = keyof InCode;

/** Options of GRPO: those of `vlmr1-native train --help` in camelCase. */
export type GrpoTrainerOptions = { objective?: "grpo" | undefined } & Omit<GrpoOptions, InFile> & InCode;
/** Options of supervised fine-tuning: those of `vlmr1-native sft --help` in camelCase. */
export type SftTrainerOptions = { objective: "sft" } & Omit<SftOptions, InFile> & InCode;
/** The fields of a config file in camelCase, with rows, functions and an engine where code has them. */
export type TrainerOptions = GrpoTrainerOptions | SftTrainerOptions;

export type RunPlan = { objective: "grpo"; config: GrpoConfig } | { objective: "sft"; config: SftConfig };

export interface ResolvedOptions {
  plan: RunPlan;
  rows: readonly Row[] | undefined;
  evalRows: readonly Row[] | undefined;
  rewards: readonly (RewardFunction | string)[];
  engine: Engine | undefined;
  reporters: readonly Reporter[];
  callbacks: TrainerCallbacks;
}

/** Checks options; what only code can give is set aside, and stands in the config by its name. */
export function resolveOptions(options: TrainerOptions): ResolvedOptions {
  const {
    objective = "grpo",
    dataset,
    evalDataset,
    rewards,
    engine,
    reporters = [],
    callbacks = {},
    ...fields
  } = options;
  const input = {
    ...fields,
    dataset: typeof dataset === "string" ? dataset : "(rows)",
    ...(evalDataset === undefined ? {} : { evalDataset: typeof evalDataset === "string" ? evalDataset : "(rows)" }),
    ...(rewards === undefined ? {} : { rewards: rewards.map((reward) => nameOf(reward)) }),
  };
  const plan: RunPlan =
    objective === "grpo"
      ? { objective, config: parseConfig(grpoSchema, input, "Trainer options") }
      : { objective, config: parseConfig(sftSchema, input, "Trainer options") };
  const rows = asRows(dataset, "dataset");
  checkDataOptions(plan.config, rows);
  const { lrSchedulerType: kind, lrSchedulerKwargs: kwargs, learningRate } = plan.config;
  checkSchedule({ kind, kwargs, learningRate });
  if (plan.objective === "grpo") checkGrpo(plan.config);
  return {
    plan,
    rows,
    evalRows: asRows(evalDataset, "evalDataset"),
    rewards: rewards ?? plan.config.rewards,
    engine,
    reporters,
    callbacks,
  };
}

function nameOf(reward: RewardFunction | string): string {
  return typeof reward === "string" ? reward : reward.name || "reward";
}

function asRows(given: string | readonly Row[] | undefined, field: string): readonly Row[] | undefined {
  if (given === undefined || typeof given === "string") return undefined;
  if (given.length === 0) throw new VlmR1Error("ERR_DATA", `${field}: expected at least one row, got none`);
  return given;
}
