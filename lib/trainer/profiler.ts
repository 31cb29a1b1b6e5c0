import type { Engine } from "../engine/index.js";
import type { ProfileReport } from "../report/index.js";
import { ProfileRecorder } from "../report/profile-recorder.js";
import { noProfile } from "../report/profile-trace.js";

export interface ProfilerOptions {
  engine: Engine;
  /** Where the trace goes. */
  path: string;
  /** The first step that is profiled, from 0, and how many are. */
  firstStep: number;
  steps: number;
  /** Called once the trace is written. */
  onProfile(report: ProfileReport): Promise<void>;
  warn(message: string): void;
}

/** The steps at hand. */
interface ProfiledSteps {
  recorder: ProfileRecorder;
  firstStep: number;
}

/**
 * Follows some steps of a run. What goes wrong with the profile is told, and does not end the run; what `onProfile`
 * throws is thrown.
 */
export class Profiler {
  private window: ProfiledSteps | undefined;
  private lastStep = 0;
  private done = false;

  constructor(private readonly options: ProfilerOptions) {}

  /** Does the work of a step, from 0, and profiles it if it is one of those. */
  async around<T>(step: number, work: () => Promise<T>): Promise<T> {
    const { firstStep, steps } = this.options;
    if (!this.done && this.window === undefined && step >= firstStep) await this.begin(step);
    const { window } = this;
    if (window === undefined) return work();
    this.lastStep = step;
    const result = await window.recorder.run(work);
    if (step + 1 >= window.firstStep + steps) await this.end();
    return result;
  }

  /** Writes what there is, or says that there is nothing. Safe to call at any time. */
  async end(): Promise<void> {
    const { window } = this;
    const { firstStep, onProfile, warn } = this.options;
    if (window === undefined) {
      if (!this.done) warn(`there is no profile: the run did no step from ${firstStep + 1} on`);
      this.done = true;
      return;
    }
    this.window = undefined;
    const report = await this.finish(window);
    if (report !== undefined) await onProfile(report);
  }

  private async finish({ recorder, firstStep }: ProfiledSteps): Promise<ProfileReport | undefined> {
    const { path, warn } = this.options;
    try {
      return await recorder.finish(path, [firstStep + 1, this.lastStep + 1]);
    } catch (error) {
      warn(noProfile(error));
      return undefined;
    }
  }

  private async begin(firstStep: number): Promise<void> {
    this.done = true;
    try {
      this.window = { recorder: await ProfileRecorder.start(this.options.engine), firstStep };
    } catch (error) {
      this.options.warn(noProfile(error));
    }
  }
}

/** Memory and caches settle in a run's first step: it is left out, unless it is the only one. */
export function firstProfiled(step: number, totalSteps: number): number {
  return step + 1 < totalSteps ? step + 1 : step;
}
