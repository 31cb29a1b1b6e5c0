import type { CliContext } from "./context.js";

/** Signals of commands that serve until they are told to stop. */
const serving = new WeakSet<AbortSignal>();

/** Whether an interruption is this command's good end, and no work that was cut short. */
export function isServing(signal: AbortSignal): boolean {
  return serving.has(signal);
}

/** Resolves at the first SIGINT or SIGTERM, with which the command then ends well. */
export async function untilInterrupted({ signal }: CliContext): Promise<void> {
  if (signal.aborted) return;
  serving.add(signal);
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
