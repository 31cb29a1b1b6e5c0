import { join, resolve } from "node:path";
import { COMPLETIONS_FILE, METRICS_FILE, RUN_FILE, WARNINGS_FILE } from "../../report/run-files.js";
import type { PageEvents, PageRun } from "../page-data.js";
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

/** Looks between which completions, that are many, are not read anew. */
const COMPLETIONS_EVERY = 5;

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
  private looks = 0;

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
    if (this.current === undefined) throw new Error(`${resolve(this.folder)} has not been read yet`);
    return this.current;
  }

  /** Throws where the folder holds no run. */
  async read(): Promise<void> {
    // What comes while it is read is seen again by the next look, and known by then.
    await Promise.all([this.metrics.skip(), this.warnings.skip(), this.whole.changed()]);
    this.runStamp = await stampOf(join(this.folder, RUN_FILE));
    this.completionsStamp = await stampOf(join(this.folder, COMPLETIONS_FILE));
    this.current = await this.readRun(this.folder);
  }

  /** What has come since the last look; what cannot be read just now comes with the next one. */
  async look(): Promise<FolderNews> {
    this.looks += 1;
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
    if (this.looks % COMPLETIONS_EVERY !== 0) return false;
    return (await stampOf(join(this.folder, COMPLETIONS_FILE))) !== this.completionsStamp;
  }

  private measured(line: string): LineEvent[] {
    const { step, ...metrics } = objectOf(line);
    if (typeof step !== "number") return [];
    const values = valuesOf(metrics);
    // As they are written: an evaluation has no epoch.
    const isEvaluation = Object.keys(values)[0]?.startsWith("eval_") === true;
    if (isEvaluation) return [{ name: "evaluation", data: { step, values } }];
    return [{ name: "step", data: { step, totalSteps: this.run.totalSteps, values } }];
  }
}

function warningOf(line: string): LineEvent[] {
  const { step, message } = objectOf(line);
  if (typeof step !== "number" || typeof message !== "string") return [];
  return [{ name: "warning", data: { step, message } }];
}

/** Without fields where the line is no JSON object. */
function objectOf(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
