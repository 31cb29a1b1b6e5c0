import type { DownloadProgress } from "../../lib/hub/index.js";
import type {
  Metrics,
  ProfileReport,
  Progress,
  Reporter,
  RunEnd,
  RunStart,
  StepReport,
} from "../../lib/report/index.js";

/** Several reporters as one, asked in their order. */
export class Reporters implements Required<Reporter> {
  readonly reporters: Reporter[];

  constructor(reporters: readonly Reporter[]) {
    this.reporters = [...reporters];
  }

  /** They follow what comes from now on, after those that are there. */

  onDownload(progress: DownloadProgress): void {
    for (const reporter of this.reporters) reporter.onDownload?.(progress);
  }

  async onStart(run: RunStart): Promise<void> {
    for (const reporter of this.reporters) await reporter.onStart?.(run);
  }

  onProgress(progress: Progress): void {
    for (const reporter of this.reporters) reporter.onProgress?.(progress);
  }

  async onStep(report: StepReport): Promise<void> {
    for (const reporter of this.reporters) await reporter.onStep?.(report);
  }

  async onEvaluation(step: number, metrics: Metrics): Promise<void> {
    for (const reporter of this.reporters) await reporter.onEvaluation?.(step, metrics);
  }

  async onCheckpoint(step: number, path: string): Promise<void> {
    for (const reporter of this.reporters) await reporter.onCheckpoint?.(step, path);
  }

  async onProfile(profile: ProfileReport): Promise<void> {
    for (const reporter of this.reporters) await reporter.onProfile?.(profile);
  }

  async onWarning(message: string): Promise<void> {
    for (const reporter of this.reporters) await reporter.onWarning?.(message);
  }

  async onEnd(end: RunEnd): Promise<void> {
    for (const reporter of this.reporters) await reporter.onEnd?.(end);
  }

  async onClose(): Promise<void> {
    for (const reporter of this.reporters) await reporter.onClose?.();
  }
}
