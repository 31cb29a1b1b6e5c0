import type { DownloadProgress } from "../hub/index.js";
import type { ProfileReport } from "./profile.js";

/** Names are TRL's, so that dashboards carry over: `reward`, `rewards/<name>/mean`, `completions/mean_length` … */
export type Metrics = Record<string, number>;

/** A completion, judged and compared with its group. */
export interface CompletionRecord {
  /** The row's id. */
  id: string;
  completion: string;
  /** The expected answer. */
  solution: string;
  /** By the reward's name; null: not applicable. */
  rewards: Record<string, number | null>;
  advantage: number;
  tokens: number;
  finishReason: "stop" | "length";
}

/** A step that is done: what `trainer.run()` yields and `onStep` gets. */
export interface StepReport {
  /** Steps that are done, this one included. */
  step: number;
  totalSteps: number;
  /** Passes over the data that are done; a fraction. */
  epoch: number;
  metrics: Metrics;
  /** What was sampled; empty in supervised training. */
  completions: readonly CompletionRecord[];
}

/** A run that is open: its model and data are loaded. */
export interface RunStart {
  objective: "grpo" | "sft";
  outputDir: string;
  /** Steps that an earlier part of this run has done. */
  firstStep: number;
  totalSteps: number;
  rows: number;
  parameters: number;
  trainableParameters: number;
  /** Packed tokens of one forward and backward pass, at most; a group of more is never cut. */
  maxTokensPerMicrobatch: number;
  /** Where an adapter is trained in place of the weights: its least and greatest rank, and how many layers have it. */
  adapter?: { ranks: [number, number]; layers: number } | undefined;
}

/** How far what is under way has come. */
export interface Progress {
  /** "measuring": prompts, before the run, where `max_prompt_length` asks for their sizes. */
  phase: "measuring" | "sampling" | "training" | "evaluating";
  /** 0 … 1 within the phase. */
  fraction: number;
}

/** How a run ended. */
export interface RunEnd {
  status: "finished" | "interrupted" | "failed";
  step: number;
  /** The newest checkpoint. */
  checkpoint: string | undefined;
  /** Why the run ended before its last step, where it was not for an error or a signal. */
  reason?: string | undefined;
}

/**
 * Follows a run. Calls come in order and are awaited, so that what a reporter writes is on disk before a checkpoint
 * that counts on it. All of them are optional.
 */
export interface Reporter {
  /** Before the start, where the model has to be fetched. */
  onDownload?(progress: DownloadProgress): void;
  /** Before the start, where a dashboard was asked for; the address has the token that commands need. */
  onDashboard?(url: string): void | Promise<void>;
  onStart?(run: RunStart): void | Promise<void>;
  onProgress?(progress: Progress): void;
  onStep?(report: StepReport): void | Promise<void>;
  onEvaluation?(step: number, metrics: Metrics): void | Promise<void>;
  onCheckpoint?(step: number, path: string): void | Promise<void>;
  /** The run holds still after `step` steps, until `onContinue` or its end. */
  onPause?(step: number): void | Promise<void>;
  onContinue?(step: number): void | Promise<void>;
  /** Where a profile was asked for: once it is written. */
  onProfile?(profile: ProfileReport): void | Promise<void>;
  /** Something that went wrong without stopping the run. */
  onWarning?(message: string): void | Promise<void>;
  onEnd?(end: RunEnd): void | Promise<void>;
  /** Nothing more comes. Evaluations may still come after `onEnd`. */
  onClose?(): void | Promise<void>;
}
