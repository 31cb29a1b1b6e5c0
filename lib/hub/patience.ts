import { setTimeout as wait } from "node:timers/promises";
import { throwIfAborted, VlmR1Error } from "../errors/index.js";
import type { RetryLimits } from "./settings.js";

/** Something that may go better in a moment: a cut connection, a busy server. */
export class Transient extends Error {
  /** Milliseconds that the server asked to wait. */
  readonly askedWait: number | undefined;

  constructor(message: string, options: { cause?: unknown; askedWait?: number | undefined } = {}) {
    super(message, { cause: options.cause });
    this.askedWait = options.askedWait;
  }
}

/** Waits longer and longer between tries, and says when enough is enough. */
export class Patience {
  private failures = 0;

  constructor(
    private readonly tries: number,
    private readonly limits: RetryLimits,
    private readonly signal: AbortSignal | undefined,
    private readonly onNotice: ((message: string) => void) | undefined,
  ) {}

  /** Something worked: later failures are counted from the beginning. */
  reset(): void {
    this.failures = 0;
  }

  /** Returns when it is time for the next try; throws `ERR_NETWORK` when that was the last. */
  async afterFailure(problem: Transient): Promise<void> {
    this.failures += 1;
    const { firstWait, longestWait, longestAskedWait } = this.limits;
    const { askedWait = 0 } = problem;
    if (this.failures >= this.tries || askedWait > longestAskedWait) throw this.giveUp(problem);
    const milliseconds = Math.max(askedWait, Math.min(longestWait, firstWait * 2 ** (this.failures - 1)));
    this.onNotice?.(`${problem.message}; trying again in ${(milliseconds / 1000).toFixed(0)} s`);
    await sleep(milliseconds, this.signal);
  }

  private giveUp(problem: Transient): VlmR1Error {
    const { askedWait } = problem;
    const asked = askedWait === undefined ? "" : `; it asks to wait ${Math.ceil(askedWait / 1000)} s`;
    return new VlmR1Error("ERR_NETWORK", `${problem.message}${asked}`, {
      hint:
        "Try again later: what was fetched so far is kept. HF_ENDPOINT names another server; behind a proxy set " +
        "HTTPS_PROXY and, for a Node that knows it, NODE_USE_ENV_PROXY=1.",
      cause: problem,
    });
  }
}

export async function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await wait(milliseconds, undefined, { signal });
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}

/** Milliseconds of a Retry-After header: seconds, or a date. */
export function parseRetryAfter(text: string | null, now = Date.now()): number | undefined {
  if (text === null) return undefined;
  const milliseconds = /^\s*\d+\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}
