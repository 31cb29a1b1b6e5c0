import type { Metrics, Reporter, RunEnd, RunStart, StepReport } from "./reporter.js";

/**
 * A tracker whose failures never stop a run: the first one of an episode is told, the run goes on, and so do the calls,
 * for a disk or a network that comes back.
 */
export class QuietReporter implements Reporter {
  private failing = false;

  /** @param name What warnings call it. */
  constructor(
    private readonly name: string,
    private readonly reporter: Reporter,
    private readonly warn: (message: string) => void,
  ) {}

  async onStart(run: RunStart): Promise<void> {
    await this.attempt(() => this.reporter.onStart?.(run));
  }

  async onStep(report: StepReport): Promise<void> {
    await this.attempt(() => this.reporter.onStep?.(report));
  }

  async onEvaluation(step: number, metrics: Metrics): Promise<void> {
    await this.attempt(() => this.reporter.onEvaluation?.(step, metrics));
  }

  async onCheckpoint(step: number, path: string): Promise<void> {
    await this.attempt(() => this.reporter.onCheckpoint?.(step, path));
  }

  async onEnd(end: RunEnd): Promise<void> {
    await this.attempt(() => this.reporter.onEnd?.(end));
  }

  async onClose(): Promise<void> {
    await this.attempt(() => this.reporter.onClose?.());
  }

  private async attempt(call: () => void | Promise<void>): Promise<void> {
    try {
      await call();
      this.failing = false;
    } catch (error) {
      if (this.failing) return;
      this.failing = true;
      const reason = error instanceof Error ? error.message : String(error);
      this.warn(`${this.name}: ${reason}; the run goes on, and metrics.jsonl has all numbers`);
    }
  }
}
