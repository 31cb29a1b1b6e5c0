import { createHash } from "node:crypto";

const MAX_ENTRIES = 100_000;

/**
 * Scores by what was asked. A question that is under way is not asked twice, so that equal completions of a group get
 * equal scores; one that failed is asked again by the next who wants to know.
 */
export class ScoreCache {
  private readonly scores = new Map<string, number>();
  private readonly underWay = new Map<string, Promise<number>>();

  async get(question: string, ask: () => Promise<number>): Promise<number> {
    const key = createHash("sha256").update(question).digest("base64");
    for (;;) {
      const known = this.scores.get(key);
      if (known !== undefined) return known;
      const running = this.underWay.get(key);
      if (running === undefined) return this.ask(key, ask);
      // Its failure (perhaps its own time limit) is reported by its own caller.
      await running.catch(() => undefined);
    }
  }

  private async ask(key: string, ask: () => Promise<number>): Promise<number> {
    const running = ask();
    this.underWay.set(key, running);
    try {
      const score = await running;
      const oldest = this.scores.size >= MAX_ENTRIES ? this.scores.keys().next().value : undefined;
      if (oldest !== undefined) this.scores.delete(oldest);
      this.scores.set(key, score);
      return score;
    } finally {
      this.underWay.delete(key);
    }
  }
}
