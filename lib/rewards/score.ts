import type { Row } from "../data/datasets/index.js";
import { throwIfAborted, VlmR1Error } from "../errors/index.js";
import { appendDebugLog, debugLogPath } from "./debug-log.js";
import type { NamedReward, RewardValue } from "./types.js";

/** One completion to be judged. */
export interface Scorable {
  row: Row;
  completion: string;
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
  failures: RewardFailure[];
}

export interface ScoreOptions {
  step: number;
  evaluation: boolean;
  /** Milliseconds that one call may take. A reward that never yields cannot be stopped: it is judged by the clock. */
  timeLimit: number;
  signal?: AbortSignal | undefined;
}

/** How many steps in a row every call of a reward may fail before the run is stopped, once it has worked at all. */
const PATIENCE = 10;

/**
 * Runs a run's rewards and remembers how they fare. A call that throws, outlasts its time limit or returns something
 * that is not a finite number is reported and counts as null. `score` throws `ERR_REWARD` only for a reward that
 * always fails: in every call of its first batch, or of ten batches in a row.
 */
export class Scorer {
  private readonly health: { worked: boolean; failedBatches: number }[];

  constructor(readonly rewards: readonly NamedReward[]) {
    this.health = rewards.map(() => ({ worked: false, failedBatches: 0 }));
  }

  async score(items: readonly Scorable[], options: ScoreOptions): Promise<Scores> {
    const calls = new Set<AbortController>();
    const stop = () => {
      for (const controller of calls) controller.abort();
    };
    options.signal?.addEventListener("abort", stop, { once: true });
    try {
      const scores = await this.callAll(items, options, calls);
      throwIfAborted(options.signal);
      await this.log(items, scores.values);
      this.checkHealth(items.length, scores.failures);
      return scores;
    } finally {
      options.signal?.removeEventListener("abort", stop);
    }
  }

  private async callAll(
    items: readonly Scorable[],
    options: ScoreOptions,
    calls: Set<AbortController>,
  ): Promise<Scores> {
    const failures: RewardFailure[] = [];
    const scoreOne = async (item: Scorable, reward: NamedReward) => {
      const result = await call(reward, item, options, calls);
      if (typeof result !== "object" || result === null) return result;
      failures.push({ reward: reward.name, row: item.row.id, message: result.failure });
      return null;
    };
    const values = await Promise.all(
      items.map((item) => Promise.all(this.rewards.map((reward) => scoreOne(item, reward)))),
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

  private checkHealth(calls: number, failures: readonly RewardFailure[]): void {
    if (calls === 0) return;
    for (const [index, { name }] of this.rewards.entries()) {
      const own = failures.filter((failure) => failure.reward === name);
      const state = this.health[index] as { worked: boolean; failedBatches: number };
      if (own.length < calls) {
        state.worked = true;
        state.failedBatches = 0;
        continue;
      }
      state.failedBatches += 1;
      if (state.worked && state.failedBatches < PATIENCE) continue;
      throw new VlmR1Error("ERR_REWARD", `the reward "${name}" fails always; last: ${own.at(-1)?.message}`, {
        hint: "Correct the reward function, raise reward_timeout, or leave the reward out.",
      });
    }
  }
}

/** The value, null for "not applicable", or why there is none. */
async function call(
  { compute }: NamedReward,
  { completion, row }: Scorable,
  { step, evaluation, timeLimit }: ScoreOptions,
  calls: Set<AbortController>,
): Promise<number | null | { failure: string }> {
  const controller = new AbortController();
  calls.add(controller);
  const timer = setTimeout(() => controller.abort(), timeLimit);
  const started = performance.now();
  try {
    const stopped = new Promise<typeof STOPPED>((resolve) => {
      controller.signal.addEventListener("abort", () => resolve(STOPPED), { once: true });
    });
    const context = { step, evaluation, signal: controller.signal };
    const result = await Promise.race([compute(completion, row, context), stopped]);
    if (result === STOPPED || performance.now() - started > timeLimit) {
      return { failure: `took longer than its time limit of ${timeLimit / 1000} s` };
    }
    return asValue(result);
  } catch (error) {
    return { failure: `threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}` };
  } finally {
    clearTimeout(timer);
    calls.delete(controller);
  }
}

const STOPPED = Symbol("stopped");

function asValue(result: RewardValue): number | null | { failure: string } {
  if (result === null || result === undefined) return null;
  if (typeof result === "number" && Number.isFinite(result)) return result;
  return { failure: `returned ${String(result)}, not a finite number or null` };
}
