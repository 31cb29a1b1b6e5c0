import { isAbort, VlmR1Error } from "../errors/index.js";
import type { EvaluatedAnswer } from "../eval/index.js";
import type { DownloadProgress } from "../hub/index.js";
import type {
  CompletionRecord,
  Metrics,
  ProfileReport,
  Progress,
  Reporter,
  RunEnd,
  RunStart,
  StepReport,
} from "../report/index.js";

/** Completions of one question, with what the rewards say of them. */
export interface RolloutGroup {
  /** The row's id. */
  id: string;
  completions: readonly CompletionRecord[];
}

/** What was sampled and judged, before anything is learned from it. */
export interface RolloutReport {
  /** The step that will learn from it, from 1. */
  step: number;
  groups: readonly RolloutGroup[];
  /** What is known of them by then: `reward`, `rewards/<name>/mean`, lengths. */
  metrics: Metrics;
}

/** Held-out data is answered and scored: while the run trains, or by `trainer.evaluate()`. */
export interface EvaluationReport {
  /** Steps that are done. */
  step: number;
  /** `eval_reward`, `eval_rewards/<name>/mean` … */
  metrics: Metrics;
  answers: readonly EvaluatedAnswer[];
  /** Whether `metric_for_best_model` is the best so far; false outside of the steps. */
  best: boolean;
}

/** A checkpoint is whole on the disk. */
export interface CheckpointReport {
  /** Steps that are done. */
  step: number;
  /** Its folder. */
  path: string;
  /** Whether it is the one with the best evaluation so far. */
  best: boolean;
}

/** The page of a run is served. */
export interface DashboardReport {
  /** With the token that commands need: keep it out of logs. */
  url: string;
}

/** A run holds still, or goes on after that. */
export interface PauseReport {
  /** Steps that are done. */
  step: number;
}

/** What a run tells, by the event's name. */
export interface TrainerEvents {
  /** Before the start, where the model has to be fetched. */
  download: DownloadProgress;
  /** Before the start, where a dashboard was asked for: it can be opened in a browser. */
  dashboard: DashboardReport;
  start: RunStart;
  progress: Progress;
  rollout: RolloutReport;
  step: StepReport;
  eval: EvaluationReport;
  checkpoint: CheckpointReport;
  /** After `run.pause()`: no step begins until `continue`. */
  pause: PauseReport;
  continue: PauseReport;
  /** Where a profile was asked for: once it is written. */
  profile: ProfileReport;
  /** Something that went wrong without stopping the run. */
  warning: string;
  end: RunEnd;
  /** The trainer is disposed: nothing follows. */
  close: undefined;
}

/** The names that `trainer.on` knows. */
export type TrainerEventName = keyof TrainerEvents;
/** A function for `trainer.on`; it is awaited, and what it throws is a warning. */
export type TrainerListener<E extends TrainerEventName> = (event: TrainerEvents[E]) => unknown;

/** How a callback steers its run; a `Trainer` is one. */
export interface RunControl {
  /** Ends the run after the step at hand, with a checkpoint. */
  stop(reason?: string): void;
  /** Writes a checkpoint now, or after the step at hand where that changes the weights already; gives its folder. */
  saveCheckpoint(): Promise<string | undefined>;
  /** Holds the run before its next step, until `continue()` or `stop()`. */
  pause(): void;
  continue(): void;
  /** Whether it was paused and has not been continued. */
  readonly paused: boolean;
  /**
   * From the next step on this takes the place of `learning_rate`: the schedule multiplies it, and rates of parts of the
   * model keep their proportion to it. Checkpoints keep it. Throws `ERR_ARGUMENT` for what is no number of at least 0.
   */
  setLearningRate(value: number): void;
  /** The highest learning rate of the schedule, as the next step has it. */
  readonly learningRate: number;
}

type Callback<E extends TrainerEventName> = (event: TrainerEvents[E], run: RunControl) => void | Promise<void>;

/**
 * Functions that are called as a run goes on, one after another and awaited: `new Trainer({ …, callbacks })`. One that
 * throws stops the run: it saves a checkpoint and rejects with `ERR_CALLBACK`.
 *
 * @example
 * const callbacks = {
 *   onStep: ({ step, metrics }, run) => {
 *     if (metrics.reward > 1.9) run.stop(`reward ${metrics.reward} after step ${step}`);
 *   },
 *   onEval: async ({ step, metrics }) => post("https://example.org/scores", { step, ...metrics }),
 * };
 */
export interface TrainerCallbacks {
  /** Not awaited. */
  onDownload?: Callback<"download"> | undefined;
  onDashboard?: Callback<"dashboard"> | undefined;
  onStart?: Callback<"start"> | undefined;
  /** Not awaited. */
  onProgress?: Callback<"progress"> | undefined;
  /** GRPO: the sampled groups with their rewards, before the step learns from them. */
  onRollout?: Callback<"rollout"> | undefined;
  onStep?: Callback<"step"> | undefined;
  onEval?: Callback<"eval"> | undefined;
  onCheckpoint?: Callback<"checkpoint"> | undefined;
  onPause?: Callback<"pause"> | undefined;
  onContinue?: Callback<"continue"> | undefined;
  onProfile?: Callback<"profile"> | undefined;
  onWarning?: Callback<"warning"> | undefined;
  onEnd?: Callback<"end"> | undefined;
  /** The trainer is disposed: nothing follows. */
  onClose?: Callback<"close"> | undefined;
}

interface Handler {
  handle: (event: never) => unknown;
  /** What throws is, in messages. */
  name: string;
  /** Whether what it throws ends the run; else it is a warning. */
  strict: boolean;
  /** As `off` knows it. */
  listener?: TrainerListener<never>;
}

const CALLBACKS: { readonly [E in TrainerEventName]: keyof TrainerCallbacks } = {
  download: "onDownload",
  dashboard: "onDashboard",
  start: "onStart",
  progress: "onProgress",
  rollout: "onRollout",
  step: "onStep",
  eval: "onEval",
  checkpoint: "onCheckpoint",
  pause: "onPause",
  continue: "onContinue",
  profile: "onProfile",
  warning: "onWarning",
  end: "onEnd",
  close: "onClose",
};

/**
 * Tells all who follow a run, in the order in which they came: the run's own files first, then reporters, callbacks and
 * listeners. What a reporter or callback throws ends the run; what a listener throws is a warning.
 */
export class RunEvents {
  private readonly handlers = new Map<TrainerEventName, Handler[]>();
  private readonly warnings: string[] = [];

  /** Follows a run that a reporter follows. */
  addReporter(reporter: Reporter): void {
    this.add("reporter", {
      onDownload: (progress) => reporter.onDownload?.(progress),
      onDashboard: ({ url }) => reporter.onDashboard?.(url),
      onStart: (run) => reporter.onStart?.(run),
      onProgress: (progress) => reporter.onProgress?.(progress),
      onStep: (report) => reporter.onStep?.(report),
      onEval: ({ step, metrics }) => reporter.onEvaluation?.(step, metrics),
      onCheckpoint: ({ step, path }) => reporter.onCheckpoint?.(step, path),
      onPause: ({ step }) => reporter.onPause?.(step),
      onContinue: ({ step }) => reporter.onContinue?.(step),
      onProfile: (profile) => reporter.onProfile?.(profile),
      onWarning: (message) => reporter.onWarning?.(message),
      onEnd: (end) => reporter.onEnd?.(end),
      onClose: () => reporter.onClose?.(),
    });
  }

  addCallbacks(callbacks: TrainerCallbacks, run: RunControl): void {
    this.add("callback", callbacks, run);
  }

  on<E extends TrainerEventName>(event: E, listener: TrainerListener<E>): void {
    this.listen(event, listener, listener);
  }

  once<E extends TrainerEventName>(event: E, listener: TrainerListener<E>): void {
    const first: TrainerListener<E> = (value) => {
      this.off(event, listener);
      return listener(value);
    };
    this.listen(event, first, listener);
  }

  off<E extends TrainerEventName>(event: E, listener: TrainerListener<E>): void {
    const handlers = this.handlers.get(event) ?? [];
    const index = handlers.findIndex((handler) => handler.listener === listener);
    if (index >= 0) this.handlers.set(event, handlers.toSpliced(index, 1));
  }

  /** Tells everyone, one after another. */
  async emit<E extends TrainerEventName>(event: E, value: TrainerEvents[E]): Promise<void> {
    for (const handler of this.handlers.get(event) ?? []) {
      try {
        await handler.handle(value as never);
      } catch (error) {
        if (handler.strict) throw asCallbackError(error, handler.name);
        this.listenerFailed(event, handler, error);
      }
    }
  }

  /** Tells everyone without waiting, from the middle of the engine's work; what is thrown is a warning. */
  emitNow<E extends "download" | "progress">(event: E, value: TrainerEvents[E]): void {
    for (const handler of this.handlers.get(event) ?? []) {
      const failed = (error: unknown) => this.listenerFailed(event, handler, error);
      try {
        const result = handler.handle(value as never);
        if (result instanceof Promise) result.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  /** Warnings come up in the middle of a step; they are told in order by the next `flush`. */
  warn(message: string): void {
    this.warnings.push(message);
  }

  async flush(): Promise<void> {
    for (;;) {
      const message = this.warnings.shift();
      if (message === undefined) return;
      await this.emit("warning", message);
    }
  }

  private add(kind: string, callbacks: TrainerCallbacks, run?: RunControl): void {
    for (const event of Object.keys(CALLBACKS) as TrainerEventName[]) {
      const name = CALLBACKS[event];
      const handle = (value: never) => (callbacks[name] as Callback<never> | undefined)?.(value, run as RunControl);
      this.push(event, { handle, name: `${kind} ${name}`, strict: true });
    }
  }

  private listen<E extends TrainerEventName>(event: E, handle: TrainerListener<E>, listener: TrainerListener<E>): void {
    if (!Object.hasOwn(CALLBACKS, event)) {
      const known = Object.keys(CALLBACKS).join(", ");
      throw new VlmR1Error("ERR_USAGE", `there is no event "${String(event)}"; there are ${known}`);
    }
    this.push(event, { handle, name: `listener of "${event}"`, strict: false, listener });
  }

  /** Lists are replaced, never changed: one that is being gone through stays as it is. */
  private push(event: TrainerEventName, handler: Handler): void {
    this.handlers.set(event, [...(this.handlers.get(event) ?? []), handler]);
  }

  private listenerFailed(event: TrainerEventName, handler: Handler, error: unknown): void {
    // What is called without end must not fail without end; and a warning of a warning would.
    const again = event === "warning" || event === "progress" || event === "download";
    if (again) {
      const handlers = this.handlers.get(event) ?? [];
      this.handlers.set(
        event,
        handlers.filter((other) => other !== handler),
      );
    }
    this.warn(`the ${handler.name} threw: ${textOf(error)}${again ? "; it is not called any more" : ""}`);
  }
}

/** Errors of this package speak for themselves, such as a full disk's. */
function asCallbackError(error: unknown, name: string): unknown {
  if (error instanceof VlmR1Error || isAbort(error)) return error;
  return new VlmR1Error("ERR_CALLBACK", `the ${name} threw: ${textOf(error)}`, {
    hint: "Correct it, and go on from the run's last checkpoint with --resume (resume: true).",
    cause: error,
  });
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
