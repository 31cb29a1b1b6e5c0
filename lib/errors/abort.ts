import { VlmR1Error } from "./vlm-r1-error.js";

/** The reason to reject with when `signal` is aborted: its own, as the web's rules have it. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? new VlmR1Error("ERR_ABORTED", "the operation was aborted");
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal);
}

/** Whether `error` came from an abort: the signal's own reason, an `AbortError`, or the addon's `ERR_ABORTED`. */
export function isAbort(error: unknown, signal?: AbortSignal): boolean {
  if (signal?.aborted && error === signal.reason) return true;
  if (typeof error !== "object" || error === null) return false;
  const { name, code } = error as { name?: unknown; code?: unknown };
  return name === "AbortError" || code === "ABORT_ERR" || code === "ERR_ABORTED";
}
