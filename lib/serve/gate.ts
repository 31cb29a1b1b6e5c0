import { abortReason, throwIfAborted } from "../errors/index.js";

/** Lets so many do their work at a time, in the order in which they came; whoever gives up leaves the queue. */
export class Gate {
  private inside = 0;
  private readonly queue = new Set<() => void>();

  constructor(private readonly width: number) {}

  get waiting(): number {
    return this.queue.size;
  }

  /** Rejects with the reason of `signal` while it waits, and as `work` does. */
  async during<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.enter(signal);
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  private async enter(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.inside < this.width) {
      this.inside += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = () => {
        this.queue.delete(enter);
        reject(abortReason(signal));
      };
      this.queue.add(enter);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  private leave(): void {
    const [next] = this.queue;
    if (next === undefined) this.inside -= 1;
    // A place that is passed on stays taken, so that nobody who comes now gets it first.
    else {
      this.queue.delete(next);
      next();
    }
  }
}
