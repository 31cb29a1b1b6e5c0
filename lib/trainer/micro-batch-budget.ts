import { join } from "node:path";
import { z } from "zod";
import { parseConfig } from "../config/index.js";
import { grpoSchema } from "../config/train-schema.js";
import type { CallOptions, Engine } from "../engine/index.js";
import { CONFIG_FILE, readRunConfig } from "../report/run-files.js";
import {
  type EstimatedConfig,
  type EstimatedRun,
  estimateMemory,
  groupSizes,
  type MemoryEstimate,
} from "./memory-estimate.js";

const Kept = z.object({ maxTokensPerMicrobatch: grpoSchema.shape.maxTokensPerMicrobatch });

/**
 * Packed tokens of the fastest passes: measured with 10 M and 80 M parameters on one thread and two. Passes of 300 take
 * a tenth to a third more time a token, and so do those of 4,000, as what lies between two kernels leaves the caches.
 */
export const EFFICIENT_TOKENS = 1024;

/** `max_tokens_per_microbatch` as it is configured. */
export type TokenBudget = number | "auto";

/** A configuration whose budget may be left to the program. */
export type BudgetedConfig = Omit<EstimatedConfig, "maxTokensPerMicrobatch"> & { maxTokensPerMicrobatch: TokenBudget };

export interface BudgetSearch {
  /** Tokens of the groups of the largest step. */
  groups: readonly number[];
  /** What a run needs with this budget. */
  peakOf(budget: number): Promise<number>;
  /** Bytes that it may need. */
  limit: number;
}

/** Without regard to memory: large enough for speed, and for every group, as these are never cut. */
export function efficientBudget(groups: readonly number[]): number {
  return Math.max(EFFICIENT_TOKENS, ...groups);
}

/** As small as micro-batches can be. */
export function leastBudget(groups: readonly number[]): number {
  return Math.max(1, ...groups);
}

/**
 * The budget of a run that names none: the efficient one, halved until the run fits, and the largest group's where it
 * never does. So it is the same number wherever there is memory enough, whatever else is free.
 */
export async function chooseBudget({ groups, peakOf, limit }: BudgetSearch): Promise<number> {
  const least = leastBudget(groups);
  let budget = efficientBudget(groups);
  while (budget > least && (await peakOf(budget)) > limit) budget = Math.max(least, Math.floor(budget / 2));
  return budget;
}

/**
 * A run that goes on keeps the number that it began with, also where another would be chosen now: bits depend on it.
 * A number that is asked for wins.
 */
export async function budgetToResume(
  folder: string,
  asked: TokenBudget,
  warn: (message: string) => void,
): Promise<TokenBudget> {
  const { max_tokens_per_microbatch: began } = await readRunConfig(folder);
  if (asked === "auto")
    return parseConfig(Kept, { maxTokensPerMicrobatch: began }, join(folder, CONFIG_FILE)).maxTokensPerMicrobatch;
  if (typeof began === "number" && began !== asked) {
    warn(`this run began with micro-batches of ${began} tokens, and goes on with ${asked}: sums are rounded otherwise`);
  }
  return asked;
}

export interface BudgetedOptions extends CallOptions {
  /** Told what the run needs with each budget that is tried. */
  onPeak?: (peak: number) => void;
}

/** Estimates a run as it would be: with the budget that is configured, or the one that would be chosen. */
export async function estimateBudgeted(
  engine: Engine,
  run: EstimatedRun,
  config: BudgetedConfig,
  limit: number,
  { onPeak, ...options }: BudgetedOptions = {},
): Promise<{ budget: number; estimate: MemoryEstimate }> {
  const known = new Map<number, Promise<MemoryEstimate>>();
  const estimateOf = (budget: number) => {
    const found =
      known.get(budget) ?? estimateMemory(engine, run, { ...config, maxTokensPerMicrobatch: budget }, options);
    known.set(budget, found);
    return found;
  };
  const { maxTokensPerMicrobatch: given } = config;
  const peakOf = async (budget: number) => {
    const { peak } = await estimateOf(budget);
    onPeak?.(peak);
    return peak;
  };
  const budget = given === "auto" ? await chooseBudget({ groups: groupSizes(run, config), peakOf, limit }) : given;
  return { budget, estimate: await estimateOf(budget) };
}
