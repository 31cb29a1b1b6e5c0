import { join } from "node:path";
import { COMPLETIONS_FILE, METRICS_FILE, RUN_FILE, readRunFile, WARNINGS_FILE } from "../../report/run-files.js";
import type { PageEvents, PageRun } from "../page-data.js";
import { objectOf } from "../read-metrics.js";
import { statusOf } from "../status.js";
import { FileStamps, stampOf } from "./file-stamps.js";
import { evaluated, stepDone, valuesOf, warned } from "./live-run.js";
import { TailLines } from "./tail-lines.js";

/** What has come in a run's folder since the last look. */
export type FolderNews =
  | { kind: "nothing" }
  /** Anything: all of the run is to be shown anew. */
  | { kind: "all" }
  /** Lines of steps, evaluations and warnings alone. */
  | { kind: "lines"; events: LineEvent[] };

export type LineEvent = { [N in "step" | "evaluation" | "warning"]: { name: N; data: PageEvents[N] } }[
  | "step"
  | "evaluation"
  | "warning"];

/** How often all is read anew for new completions at most: in milliseconds, and as a share of the time that takes. */
const COMPLETIONS_MS = 3000;
const READING_SHARE = 0.05;

/**
 * A run's folder, which another process may be writing: it is read once, then by what is added to its files. Where they
 * are replaced, as by a run that goes on from a checkpoint, and at starts, ends and pauses it is read anew.
 */
export class FolderRun {
  private current: PageRun | undefined;
  private readonly metrics: TailLines;
  private readonly warnings: TailLines;
  private readonly whole: FileStamps;
  private runStamp = "";
  private completionsStamp = "";
  /** When completions may be read anew, by a clock that only goes forward. */
  private nextReading = 0;

  constructor(
    readonly folder: string,
    private readonly readRun: (folder: string) => Promise<PageRun>,
  ) {
    this.metrics = new TailLines(join(folder, METRICS_FILE));
    this.warnings = new TailLines(join(folder, WARNINGS_FILE));
    this.whole = new FileStamps(folder);
  }

  /** As it was at the last look. */
  get run(): PageRun {
    if (this.current === undefined) throw new Error(`${this.folder} has not been read yet`);
    return this.current;
  }

  /** Throws where the folder holds no run. */
  async read(): Promise<void> {
    // What comes while it is read is seen again by the next look, and known by then.
    await Promise.all([this.metrics.skip(), this.warnings.skip(), this.whole.changed()]);
    this.runStamp = await stampOf(join(this.folder, RUN_FILE));
    this.completionsStamp = await stampOf(join(this.folder, COMPLETIONS_FILE));
    const started = performance.now();
    this.current = await this.readRun(this.folder);
    const took = performance.now() - started;
    this.nextReading = performance.now() + Math.max(COMPLETIONS_MS, took / READING_SHARE);
  }

  /** What has come since the last look; what cannot be read just now comes with the next one. */
  async look(): Promise<FolderNews> {
    const [metrics, warnings] = [await this.metrics.read(), await this.warnings.read()];
    if (metrics === undefined || warnings === undefined || (await this.isAnother())) {
      await this.read();
      return { kind: "all" };
    }
    const events = [...metrics.flatMap((line) => this.measured(line)), ...warnings.flatMap(warningOf)];
    for (const { name, data } of events) {
      if (name === "step") stepDone(data)(this.run);
      else if (name === "evaluation") evaluated(data)(this.run);
      else warned(data)(this.run);
    }
    return events.length === 0 ? { kind: "nothing" } : { kind: "lines", events };
  }

  private async isAnother(): Promise<boolean> {
    if ((await this.whole.changed()) || (await stampOf(join(this.folder, RUN_FILE))) !== this.runStamp) return true;
    if ((await statusOf(this.folder, await readRunFile(this.folder))) !== this.run.status) return true;
    if (performance.now() < this.nextReading) return false;
    return (await stampOf(join(this.folder, COMPLETIONS_FILE))) !== this.completionsStamp;
  }

  private measured(line: string): LineEvent[] {
    const { step, ...metrics } = objectOf(line) ?? {};
    if (typeof step !== "number") return [];
    const values = valuesOf(metrics);
    const names = Object.keys(values);
    if (names.length > 0 && names.every((name) => name.startsWith("eval_")))
      return [{ name: "evaluation", data: { step, values } }];
    return [{ name: "step", data: { step, totalSteps: this.run.totalSteps, values } }];
  }
}

function warningOf(line: string): LineEvent[] {
  const { step, message } = objectOf(line) ?? {};
  if (typeof step !== "number" || typeof message !== "string") return [];
  return [{ name: "warning", data: { step, message } }];
}
