import { setTimeout as wait } from "node:timers/promises";
import type { Row } from "../data/datasets/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { NamedReward, RewardContext, RewardValue } from "./types.js";

export interface CallOptions {
  /** Milliseconds that one try may take. A reward that never yields cannot be stopped: it is judged by the clock. */
  timeLimit: number;
  /** How often a try that threw or took too long is repeated. */
  retries: number;
  /** Milliseconds before the first repetition; they double, up to 30 s. */
  retryPause: number;
  /** Ends the call; its result then does not matter. */
  signal: AbortSignal;
}

/** A number, null for "not applicable", or why there is neither. */
export type CallResult = number | null | { failure: string };

type Try = CallResult | { failure: string; final: boolean };

const LONGEST_PAUSE = 30_000;
const STOPPED = Symbol("stopped");

/** Calls a reward until a try succeeds, or fails for good. */
export async function callReward(
  { compute }: NamedReward,
  completion: string,
  row: Row,
  context: Omit<RewardContext, "signal">,
  options: CallOptions,
): Promise<CallResult> {
  const { retries, retryPause, signal } = options;
  // Those who waited for their turn when the batch was given up are not called any more.
  if (signal.aborted) return { failure: "was not called: the batch was given up" };
  for (let failures = 0; ; failures += 1) {
    const result = await tryOnce((own) => compute(completion, row, { ...context, signal: own }), options);
    if (typeof result !== "object" || result === null) return result;
    const final = !("final" in result) || result.final;
    if (final || failures >= retries || signal.aborted) {
      const tries = failures === 0 ? "" : ` (${failures + 1} tries)`;
      return { failure: result.failure + tries };
    }
    await pause(Math.min(LONGEST_PAUSE, retryPause * 2 ** failures), signal);
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await wait(milliseconds, undefined, { signal });
  } catch {
    // Aborted: the next try ends at once, and the batch is given up by whoever aborted it.
  }
}

async function tryOnce(
  compute: (signal: AbortSignal) => RewardValue | Promise<RewardValue>,
  { timeLimit, signal }: CallOptions,
): Promise<Try> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(stop, timeLimit);
  const started = performance.now();
  try {
    const stopped = new Promise<typeof STOPPED>((resolve) => {
      if (controller.signal.aborted) resolve(STOPPED);
      controller.signal.addEventListener("abort", () => resolve(STOPPED), { once: true });
    });
    const result = await Promise.race([compute(controller.signal), stopped]);
    if (result === STOPPED || performance.now() - started > timeLimit) {
      return { failure: `took longer than its time limit of ${timeLimit / 1000} s`, final: false };
    }
    return asValue(result);
  } catch (error) {
    return { failure: describe(error), final: isFinal(error) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

/** An error of this package says what is wrong with a row or a setting, and will say so again; the net may recover. */
function isFinal(error: unknown): boolean {
  return error instanceof VlmR1Error && error.code !== "ERR_NETWORK";
}

/** What nobody throws on purpose: the message alone hardly says where it comes from. */
const MISTAKES = [TypeError, ReferenceError, RangeError];

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const place = MISTAKES.some((kind) => error instanceof kind)
    ? /[ (](?:file:\/\/)?(\/[^\s()]+:\d+):\d+/.exec(error.stack ?? "")
    : null;
  return `threw ${error.name}: ${error.message}${place === null ? "" : ` (${place[1]})`}`;
}

function asValue(result: RewardValue): Try {
  if (result === null || result === undefined) return null;
  if (typeof result === "number" && Number.isFinite(result)) return result;
  return {
    failure: `returned ${typeof result === "string" ? JSON.stringify(result) : String(result)}, not a finite number or null`,
  };
}
