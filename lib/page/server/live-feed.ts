import { basename, resolve } from "node:path";
import { VlmR1Error } from "../../errors/index.js";
import type { PageCompletion, PageData, PageEvents, PageRun } from "../page-data.js";
import type { Controls } from "./control.js";
import { FileStamps } from "./file-stamps.js";
import { type Change, completed, evaluated, statusIs, stepDone, warned } from "./live-run.js";
import type { PageServer, PageSource } from "./server.js";

export interface LiveFeedOptions {
  folder: string;
  /** This package's. */
  version: string;
  objective: PageRun["objective"];
  /** As in config.yaml; what is known of the run before its folder is. */
  config: Record<string, unknown>;
  /** The run as its folder has it, but for its completions. */
  read(): Promise<PageRun>;
  /** The highest learning rate of the schedule, as it is now. */
  learningRate(): number;
  controls: Controls;
}

/** Milliseconds between two looks at how far a step has come, and at the files that others write. */
const PROGRESS_MS = 250;
const FILES_MS = 1000;

type Ending = Extract<PageRun["status"], "finished" | "interrupted" | "failed">;

/**
 * A run that goes on in this process, as its page shows it: what its folder held at the start, and what has come since.
 * Nothing here throws into the run, and nothing waits for a client.
 */
export class LiveFeed implements PageSource {
  readonly controls: Controls;
  private run: PageRun;
  private server: PageServer | undefined;
  /** What came while the folder is being read. */
  private meanwhile: Change[] | undefined;
  private reading: Promise<void> | undefined;
  private readonly files: FileStamps;
  private readonly filesTimer: NodeJS.Timeout;
  private progress: PageEvents["progress"] | undefined;
  private progressTimer: NodeJS.Timeout | undefined;
  private isOpen = false;
  private over = false;
  /** Of a run that is over. */
  private lastRate = 0;
  private readonly made = new Date().toISOString();

  constructor(private readonly options: LiveFeedOptions) {
    const { folder, objective, config } = options;
    this.run = {
      ...{ name: basename(resolve(folder)), status: "running", objective, step: 0, totalSteps: 0, config },
      ...{ steps: { step: [], values: {} }, evaluations: { step: [], values: {} } },
      ...{ gallery: [], regressions: [], completions: [], warnings: [], environment: {} },
    };
    this.controls = this.guarded(options.controls);
    this.files = new FileStamps(folder);
    this.filesTimer = setInterval(() => void this.lookAtFiles(), FILES_MS).unref();
  }

  /** Whom to tell from now on. */
  attach(server: PageServer): void {
    this.server = server;
  }

  page(): PageData {
    const { run, made } = this;
    const { learningRate } = this;
    return {
      ...{ kind: "dashboard", title: run.name, version: this.options.version, made, runs: [run], pictures: [] },
      live: { canControl: !this.over, learningRate },
    };
  }

  /** The run is open: its folder has what earlier parts of it did. Completions have the newest step first. */
  async opened(step: number, totalSteps: number, completions: PageCompletion[]): Promise<void> {
    this.change((run) => Object.assign(run, { step, totalSteps, completions }));
    this.isOpen = true;
    await this.refresh();
  }

  step(event: PageEvents["step"]): void {
    this.change(stepDone(event));
    if (this.run.status !== "paused" && this.run.status !== "running") this.status("running");
    this.server?.send("step", event);
  }

  evaluation(event: PageEvents["evaluation"]): void {
    this.change(evaluated(event));
    this.server?.send("evaluation", event);
  }

  /** All of a step. */
  completions(completions: PageCompletion[]): void {
    this.change(completed(completions));
    this.server?.send("completions", completions);
  }

  warning(message: string): void {
    const event = { step: this.run.step, message };
    this.change(warned(event));
    this.server?.send("warning", event);
  }

  /** Told at most four times in a second; the last one always is. */
  at(progress: PageEvents["progress"]): void {
    this.progress = progress;
    if (this.progressTimer !== undefined) return;
    this.tellProgress();
    this.progressTimer = setInterval(() => {
      if (this.progress !== undefined) this.tellProgress();
      else {
        clearInterval(this.progressTimer);
        this.progressTimer = undefined;
      }
    }, PROGRESS_MS).unref();
  }

  status(status: PageRun["status"], reason?: string): void {
    const { step } = this.run;
    this.over = false;
    this.change(statusIs({ status, step, reason }));
    this.tellStatus();
  }

  ended(status: Ending, reason?: string): void {
    this.lastRate = this.learningRate;
    this.status(status, reason);
    this.over = true;
  }

  /** The status, with a learning rate that may be another. */
  tellStatus(): void {
    const { status, step, reason } = this.run;
    this.server?.send("status", { status, step, reason, learningRate: this.learningRate });
  }

  /** Reads the run's folder anew and shows all of it. */
  refresh(): Promise<void> {
    this.reading = (this.reading ?? Promise.resolve()).then(() => this.readAll());
    return this.reading;
  }

  /** The last look at the folder, for what was written after the run. */
  async close(): Promise<void> {
    clearInterval(this.filesTimer);
    clearInterval(this.progressTimer);
    await this.lookAtFiles();
    await this.reading;
  }

  private get learningRate(): number {
    return this.over ? this.lastRate : this.options.learningRate();
  }

  private async readAll(): Promise<void> {
    const { status, step, totalSteps, reason, completions } = this.run;
    const meanwhile: Change[] = [];
    this.meanwhile = meanwhile;
    try {
      await this.files.changed();
      const run = await this.options.read();
      // What runs here knows better than its folder how it is, and what its completions were asked.
      Object.assign(run, { status, step, totalSteps, reason, completions });
      for (const change of meanwhile) change(run);
      this.run = run;
      this.server?.send("page", this.page());
    } catch (error) {
      this.warning(`the page shows less than there is: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.meanwhile = undefined;
    }
  }

  private async lookAtFiles(): Promise<void> {
    if (this.isOpen && this.meanwhile === undefined && (await this.files.changed())) await this.refresh();
  }

  private change(change: Change): void {
    change(this.run);
    this.meanwhile?.push(change);
  }

  private tellProgress(): void {
    if (this.progress !== undefined) this.server?.send("progress", this.progress);
    this.progress = undefined;
  }

  private guarded(controls: Controls): Controls {
    const whileItRuns = (act: () => void) => {
      const { status, step } = this.run;
      if (this.over) throw new VlmR1Error("ERR_STATE", `the run is over: ${status} after step ${step}`);
      act();
      this.tellStatus();
    };
    return {
      pause: () => whileItRuns(() => controls.pause()),
      continue: () => whileItRuns(() => controls.continue()),
      stop: () => whileItRuns(() => controls.stop()),
      setLearningRate: (value) => whileItRuns(() => controls.setLearningRate(value)),
    };
  }
}
