import { appendFile, open, readdir, truncate } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { fromSystem } from "../errors/index.js";
import { makeFolder } from "../files/index.js";
import { completionsMarkdown, jsonMarkdown } from "./markdown.js";
import { trackerNames } from "./metric-names.js";
import type { Metrics, Reporter, RunStart, StepReport } from "./reporter.js";
import { encodeEvent, frameRecord, type TensorBoardEvent } from "./tensorboard-events.js";

export interface TensorBoardOptions {
  /** What the run was configured with, for its text page; names as in files. */
  config: Readonly<Record<string, unknown>>;
  /** Steps between two pages of completions; 0: none. */
  completionsEvery: number;
  /** Milliseconds since 1970; for tests. */
  now?: () => number;
}

const EVENT_FILE = /^events\.out\.tfevents\.(\d+)\./;

/**
 * Writes `events.out.tfevents.*` into the run's folder. Each call appends whole records and is on its way to the disk
 * when it returns, so a run that is killed leaves a file that can be read.
 *
 * A run that goes on gets a file of its own, which begins with the mark by which TensorBoard hides what earlier files
 * hold of later steps.
 */
export class TensorBoardReporter implements Reporter {
  private path = "";
  /** Bytes of whole records. */
  private length = 0;
  private torn = false;
  private readonly now: () => number;

  constructor(private readonly options: TensorBoardOptions) {
    this.now = options.now ?? Date.now;
  }

  async onStart({ outputDir, firstStep }: RunStart): Promise<void> {
    try {
      await makeFolder(outputDir);
      const earlier = await newestSecond(outputDir);
      // TensorBoard reads the files of a folder in the order of their names, and never goes back.
      const second = Math.max(Math.floor(this.now() / 1000), earlier === undefined ? 0 : earlier + 1);
      const path = join(outputDir, `events.out.tfevents.${second}.${hostname()}.${process.pid}.0`);
      await (await open(path, "wx")).close();
      this.path = path;
      const purge = earlier === undefined ? [] : [this.event({ kind: "start" }, firstStep === 0 ? 0 : firstStep + 1)];
      await this.append([this.event({ kind: "version" }), ...purge, this.configEvent(firstStep)]);
    } catch (error) {
      throw fromSystem(error, "write the events of TensorBoard into", outputDir);
    }
  }

  async onStep({ step, epoch, metrics, completions }: StepReport): Promise<void> {
    const events = [this.scalars({ ...metrics, epoch }, step)];
    const { completionsEvery: every } = this.options;
    if (every > 0 && step % every === 0 && completions.length > 0) {
      const text = completionsMarkdown(completions);
      events.push(this.event({ kind: "text", tag: "train/completions", text }, step));
    }
    await this.append(events);
  }

  async onEvaluation(step: number, metrics: Metrics): Promise<void> {
    await this.append([this.scalars(metrics, step)]);
  }

  /** At the first step that this file may hold, or the mark at its beginning would hide it. */
  private configEvent(firstStep: number): TensorBoardEvent {
    const text = jsonMarkdown(this.options.config);
    return this.event({ kind: "text", tag: "args", text }, firstStep === 0 ? 0 : firstStep + 1);
  }

  private scalars(metrics: Metrics, step: number): TensorBoardEvent {
    return this.event({ kind: "scalars", values: Object.entries(trackerNames(metrics)) }, step);
  }

  private event(what: TensorBoardEvent["what"], step = 0): TensorBoardEvent {
    return { wallTime: this.now() / 1000, step, what };
  }

  private async append(events: readonly TensorBoardEvent[]): Promise<void> {
    if (this.path === "") return;
    const records = Buffer.concat(events.map((event) => frameRecord(encodeEvent(event))));
    try {
      // Readers end at a torn record and would never see what follows it.
      if (this.torn) await truncate(this.path, this.length);
      this.torn = true;
      await appendFile(this.path, records);
      this.torn = false;
      this.length += records.length;
    } catch (error) {
      throw fromSystem(error, "write", this.path);
    }
  }
}

/** Of the event files in a folder. */
async function newestSecond(folder: string): Promise<number | undefined> {
  const seconds = (await readdir(folder)).flatMap((name) => {
    const second = EVENT_FILE.exec(name)?.[1];
    return second === undefined ? [] : [Number(second)];
  });
  return seconds.length === 0 ? undefined : Math.max(...seconds);
}
