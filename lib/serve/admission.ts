import { ApiError, stopping } from "./api-error.js";

/** Bounds how many requests are under way, those that still come in too, and knows when the last one has ended. */
export class Admission {
  private inside = 0;
  private served = 0;
  private closing = false;
  private emptied: () => void = () => {};

  constructor(private readonly most: number) {}

  /** The number of the request since the start. Throws an `ApiError`: 429 where there are too many, 503 when closing. */
  enter(): number {
    if (this.closing) throw stopping();
    if (this.inside >= this.most) {
      throw new ApiError(429, `${this.inside} requests are under way, which is all that this server takes at once`, {
        type: "rate_limit_error",
        code: "queue_full",
        headers: { "Retry-After": "1" },
      });
    }
    this.inside += 1;
    this.served += 1;
    return this.served - 1;
  }

  leave(): void {
    this.inside -= 1;
    if (this.inside === 0) this.emptied();
  }

  /** Lets nobody in any more; resolves when the last one is out, at latest after `milliseconds`: whether all are. */
  async close(milliseconds: number): Promise<boolean> {
    this.closing = true;
    if (this.inside === 0) return true;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.emptied = resolve;
      timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
    return this.inside === 0;
  }
}
