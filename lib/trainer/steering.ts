import { abortReason } from "../errors/index.js";

/** Of a timer. */
const LONGEST_MS = 2 ** 31 - 1;

/** What those outside of a run want of it; its loop asks between two steps. */
export class Steering {
  private reason: string | undefined;
  private held = false;
  private readonly waiting = new Set<() => void>();

  /** Why to end the run after the step at hand; undefined to go on. */
  get stopReason(): string | undefined {
    return this.reason;
  }

  /** Whether no further step is to begin for now. */
  get paused(): boolean {
    return this.held;
  }

  stop(reason: string): void {
    this.reason = reason;
    this.wake();
  }

  pause(): void {
    this.held = true;
  }

  continue(): void {
    this.held = false;
    this.wake();
  }

  /** A run that is over leaves nothing to the next one. */
  clear(): void {
    this.reason = undefined;
    this.held = false;
  }

  /** Has all that wait look again. */
  wake(): void {
    for (const look of [...this.waiting]) look();
  }

  /** Resolves when something is wanted anew; rejects with the signal's reason when that is aborted. */
  async change(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw abortReason(signal);
    await new Promise<void>((resolve, reject) => {
      // Whoever is to continue may be a page, whose server keeps no process alive: without this, a pause ends it.
      const awake = setInterval(() => {}, LONGEST_MS);
      const done = () => {
        clearInterval(awake);
        this.waiting.delete(look);
        signal?.removeEventListener("abort", abort);
      };
      const look = () => {
        done();
        resolve();
      };
      const abort = () => {
        done();
        reject(abortReason(signal as AbortSignal));
      };
      this.waiting.add(look);
      signal?.addEventListener("abort", abort);
    });
  }
}
