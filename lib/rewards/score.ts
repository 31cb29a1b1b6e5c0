import { setMaxListeners } from "node:events";
import type { Row } from "../data/datasets/index.js";
import { throwIfAborted, VlmR1Error } from "../errors/index.js";
import { Turns } from "../processing/turns.js";
import { isBoxMethod, rowMethod } from "./accuracy.js";
import { isBoxReader } from "./boxes.js";
import { type CallResult, callReward } from "./call.js";
import { appendDebugLog, debugLogPath } from "./debug-log.js";
import { questionOf } from "./images.js";
import { checkRowRewards, rowRewards } from "./row-rewards.js";
import type { NamedReward, RewardContext, RewardImage } from "./types.js";

/** One completion to be judged. */
export interface Scorable {
  row: Row;
  completion: string;
  /** Ids of its tokens, the end token included. */
  tokens: ArrayLike<number>;
  finishReason: "stop" | "length";
  /** The row's pictures as its prompt has them (`rewardImages`). */
  images: readonly RewardImage[];
}

/** A call that gave no number; it counts as "not applicable". */
export interface RewardFailure {
  reward: string;
  /** The row's id. */
  row: string;
  message: string;
}

export interface Scores {
  /** Per completion, per reward, in their orders. */
  values: (number | null)[][];
  /** In the order of completions, then of rewards. */
  failures: RewardFailure[];
}

export interface ScoreOptions {
  step: number;
  evaluation: boolean;
  /** Most tokens that a completion may have. */
  maxCompletionLength: number;
  /** Milliseconds that one call may take. A reward that never yields cannot be stopped: it is judged by the clock. */
  timeLimit: number;
  /** Calls of one reward that may wait for an answer at once; 64 unless given. */
  concurrency?: number | undefined;
  /** How often a call that threw or took too long is repeated, with growing pauses; 0 unless given. */
  retries?: number | undefined;
  /** Milliseconds before the first repetition; 1000 unless given. */
  retryPause?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** How many steps in a row every call of a reward may fail before the run is stopped, once it has worked at all. */
const PATIENCE = 10;
const DEFAULT_CONCURRENCY = 64;
const DEFAULT_PAUSE = 1000;

/**
 * Runs a run's rewards and remembers how they fare. A call that throws, outlasts its time limit or returns something
 * that is not a finite number is reported and counts as null. A row that names its rewards is judged by these alone.
 * `score` throws `ERR_REWARD` only for a reward that always fails: in every call of its first batch that has any, or of
 * ten such batches in a row. Results and failures do not depend on which call ends first.
 */
export class Scorer {
  private readonly health: { worked: boolean; failedBatches: number }[];

  constructor(readonly rewards: readonly NamedReward[]) {
    this.health = rewards.map(() => ({ worked: false, failedBatches: 0 }));
  }

  /**
   * For the start of a run: throws `ERR_DATA` where rows name rewards that the run does not have, and `ERR_CONFIG`
   * where boxes are compared in pictures that augmentation shifts and mirrors.
   */
  checkRows(rows: readonly Row[], { augment = false }: { augment?: boolean } = {}): void {
    checkRowRewards(
      rows,
      this.rewards.map(({ name }) => name),
    );
    if (!augment) return;
    const reader = this.rewards.find(({ compute }) => isBoxReader(compute))?.name;
    const row = rows.find((candidate) => isBoxMethod(rowMethod(candidate)));
    if (reader === undefined && row === undefined) return;
    const who = reader === undefined ? `row ${row?.id} (accu_reward_method)` : `the reward ${reader}`;
    throw new VlmR1Error("ERR_CONFIG", `augment: moves what is in the pictures, but ${who} compares boxes`, {
      hint: "Turn augment off.",
    });
  }

  async score(items: readonly Scorable[], options: ScoreOptions): Promise<Scores> {
    const controller = new AbortController();
    // Every call that is under way listens, and there may be hundreds.
    setMaxListeners(0, controller.signal);
    const stop = () => controller.abort();
    if (options.signal?.aborted) stop();
    options.signal?.addEventListener("abort", stop, { once: true });
    try {
      const results = await this.callAll(items, options, controller.signal);
      throwIfAborted(options.signal);
      const scores = this.scoresOf(items, results);
      await this.log(items, scores.values);
      this.checkHealth(results);
      return scores;
    } finally {
      options.signal?.removeEventListener("abort", stop);
      controller.abort();
    }
  }

  /** Per completion, per reward; undefined where the row names other rewards. */
  private callAll(
    items: readonly Scorable[],
    options: ScoreOptions,
    signal: AbortSignal,
  ): Promise<(CallResult | undefined)[][]> {
    const { timeLimit, concurrency = DEFAULT_CONCURRENCY, retries = 0, retryPause = DEFAULT_PAUSE } = options;
    const call = { timeLimit, retries, retryPause, signal };
    const turns = this.rewards.map(() => new Turns(concurrency));
    return Promise.all(
      items.map((item) => {
        const own = rowRewards(item.row);
        const context = contextOf(item, options);
        return Promise.all(
          this.rewards.map(async (reward, index) => {
            if (own !== undefined && !own.includes(reward.name)) return undefined;
            return (turns[index] as Turns).take(() => callReward(reward, item.completion, item.row, context, call));
          }),
        );
      }),
    );
  }

  private scoresOf(items: readonly Scorable[], results: readonly (CallResult | undefined)[][]): Scores {
    const failures: RewardFailure[] = [];
    const values = results.map((row, item) =>
      row.map((result, reward) => {
        if (typeof result === "number") return result;
        if (result === null || result === undefined) return null;
        const name = this.rewards[reward]?.name ?? "";
        failures.push({ reward: name, row: items[item]?.row.id ?? "", message: result.failure });
        return null;
      }),
    );
    return { values, failures };
  }

  private async log(items: readonly Scorable[], values: (number | null)[][]): Promise<void> {
    const path = debugLogPath();
    if (path === undefined) return;
    // The format has room for one number: the reward of what is answered, else the first.
    const accuracy = Math.max(
      0,
      this.rewards.findIndex(({ name }) => /^(content|accuracy)/.test(name)),
    );
    const entries = items.map(({ row, completion }, index) => ({
      reward: values[index]?.[accuracy] ?? null,
      completion,
      solution: row.solution ?? "",
    }));
    await appendDebugLog(path, entries);
  }

  private checkHealth(results: readonly (CallResult | undefined)[][]): void {
    for (const [index, { name }] of this.rewards.entries()) {
      const calls = results.map((row) => row[index]).filter((result) => result !== undefined);
      const failed = calls.filter((result) => typeof result === "object" && result !== null);
      if (calls.length === 0) continue;
      const state = this.health[index] as { worked: boolean; failedBatches: number };
      if (failed.length < calls.length) {
        state.worked = true;
        state.failedBatches = 0;
        continue;
      }
      state.failedBatches += 1;
      if (state.worked && state.failedBatches < PATIENCE) continue;
      throw new VlmR1Error("ERR_REWARD", `the reward "${name}" fails always; last: ${failed.at(-1)?.failure}`, {
        hint: "Correct the reward function, raise reward_timeout, or leave the reward out.",
      });
    }
  }
}

function contextOf(item: Scorable, options: ScoreOptions): Omit<RewardContext, "signal"> {
  return {
    step: options.step,
    evaluation: options.evaluation,
    question: questionOf(item.row),
    images: item.images,
    tokens: item.tokens,
    truncated: item.finishReason === "length",
    maxCompletionLength: options.maxCompletionLength,
  };
}
