import { abortReason, fromNative, throwIfAborted } from "../errors/index.js";
import type { AbortFlag } from "./native-types.js";

export interface CallOptions {
  /** Interrupts the call within milliseconds; it then rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

/**
 * Runs one native verb under a signal. The addon reads a flag that any thread may see, so the signal is turned into
 * one for the time of the call; the listener is gone afterwards, however the call ended.
 */
export async function underSignal<T>(
  signal: AbortSignal | undefined,
  run: (flag: AbortFlag) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const flag: AbortFlag = new Int32Array(1);
  const raise = () => raiseFlag(flag);
  signal?.addEventListener("abort", raise, { once: true });
  try {
    return await run(flag);
  } catch (error) {
    const wrapped = fromNative(error);
    if (signal?.aborted && wrapped.code === "ERR_ABORTED") throw abortReason(signal);
    throw wrapped;
  } finally {
    signal?.removeEventListener("abort", raise);
  }
}

export function raiseFlag(flag: AbortFlag): void {
  Atomics.store(flag, 0, 1);
}
