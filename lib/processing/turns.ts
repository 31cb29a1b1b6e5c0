/** Lets at most so many pieces of work run at a time; the others wait in the order in which they came. */
export class Turns {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(readonly width: number) {}

  async take<T>(work: () => Promise<T>): Promise<T> {
    // A turn that is passed on stays counted, so that nobody who comes now takes it.
    if (this.running < this.width) this.running += 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.running -= 1;
      else next();
    }
  }
}
