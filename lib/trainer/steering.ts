import { abortReason } from "../errors/index.js";

/** Milliseconds; timers know no longer ones. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** What those outside of a run want of it; its loop asks between two steps. */
export class Steering {
  private reason: string | undefined;
  private held = false;
  private readonly waiting = new Set<() => void>();
  private readonly endings = new Set<() => void>();

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

  /** Ends a run that is held, and resolves when it is over; at once where the loop is at something else just now. */
  async end(reason: string): Promise<void> {
    const isHeld = this.waiting.size > 0;
    const over = new Promise<void>((resolve) => this.endings.add(resolve));
    this.stop(reason);
    if (isHeld) await over;
  }

  /** A run that is over leaves nothing to the next one. */
  clear(): void {
    this.reason = undefined;
    this.held = false;
    for (const tell of this.endings) tell();
    this.endings.clear();
  }

  /** Has all that wait look again. */
  wake(): void {
    for (const look of [...this.waiting]) look();
  }

  /**
   * Resolves when something is wanted anew; rejects with the signal's reason when that is aborted. The process stays
   * alive meanwhile: nothing else keeps one whose run holds still, and its end would be the end of the run.
   */
  async change(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw abortReason(signal);
    await new Promise<void>((resolve, reject) => {
      const alive = setInterval(() => {}, LONGEST_DELAY);
      const done = () => {
        clearInterval(alive);
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
