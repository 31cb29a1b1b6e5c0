import { abortReason } from "../errors/index.js";

/** A signal that follows another one, and is aborted by itself when nothing was heard for a while. */
export class Watchdog {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private readonly follow = () => this.controller.abort(this.outer && abortReason(this.outer));

  constructor(
    milliseconds: number,
    private readonly outer: AbortSignal | undefined,
  ) {
    const silence = new Error(`nothing came for ${milliseconds / 1000} s`);
    this.timer = setTimeout(() => this.controller.abort(silence), milliseconds);
    if (outer?.aborted) this.follow();
    else outer?.addEventListener("abort", this.follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Something came. */
  touch(): void {
    this.timer.refresh();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener("abort", this.follow);
  }
}
