/**
 * What the page shows, as JSON: within a report's file, and what a dashboard sends. This file has types alone, for both
 * sides of the wire: the page's own code and the server's.
 */
import type { DataStatistics, Histogram } from "../data/statistics.js";

export type { DataStatistics, Histogram };

/** Columns of numbers by the step; null where a step has no such number. */
export interface Columns {
  step: number[];
  values: Record<string, (number | null)[]>;
}

export interface Interval {
  value: number;
  /** Of 95 %. */
  low: number;
  high: number;
}

/** Held-out data before and after, or of two runs. */
export interface HeldOut {
  /** "before", "after" or the runs' names. */
  labels: [string, string];
  rows: number;
  /** By what is scored: "reward", "rewards/content", "right name" …; differences with a paired bootstrap interval. */
  scores: { name: string; unit: "share" | "number"; first: number; second: number; difference: Interval }[];
}

/** A question with its picture and the answers to it. */
export interface Example {
  id: string;
  /** Index into `PageRun.pictures` of a report, URL of a dashboard; none: the row has no picture that can be shown. */
  pictures: string[];
  question: string;
  solution: string;
  answers: ExampleAnswer[];
}

export interface ExampleAnswer {
  /** As in `HeldOut.labels`; in their order, the earlier one first. */
  label: string;
  text: string;
  reward: number | null;
  rewards: Record<string, number | null>;
  /** What of it is right: `{ name: true, number: false, format: true }`; without it the page compares the texts. */
  right?: Record<string, boolean> | undefined;
}

/** A completion of training, as it came. */
export interface PageCompletion {
  step: number;
  id: string;
  pictures: string[];
  question: string;
  solution: string;
  completion: string;
  reward: number | null;
  rewards: Record<string, number | null>;
  advantage: number;
  tokens: number;
  finishReason: "stop" | "length";
}

export interface PageRun {
  /** Of its folder. */
  name: string;
  status: "running" | "paused" | "interrupted" | "failed" | "finished" | "unknown";
  objective: "grpo" | "sft";
  step: number;
  totalSteps: number;
  /** Why it ended before its last step. */
  reason?: string | undefined;
  /** What each step measured. */
  steps: Columns;
  /** What each evaluation measured; the names begin with "eval_". */
  evaluations: Columns;
  heldOut?: HeldOut | undefined;
  /** A fair sample of held-out questions. */
  gallery: Example[];
  /** Those whose reward fell most. */
  regressions: Example[];
  /** The newest first. */
  completions: PageCompletion[];
  warnings: { step: number; message: string }[];
  /** As in config.yaml. */
  config: Record<string, unknown>;
  /** Versions, processor, device … */
  environment: Record<string, string | number | boolean>;
  data?: RunDataStatistics | undefined;
}

/** Of the rows that a run trains on. */
export interface RunDataStatistics extends DataStatistics {
  /** Of the held-out data; none: nothing is held out. */
  heldOutRows?: number | undefined;
}

/** What the page starts with. */
export interface PageData {
  kind: "report" | "dashboard";
  title: string;
  /** vlmr1-native's. */
  version: string;
  /** ISO 8601. */
  made: string;
  /** One, or several side by side. */
  runs: PageRun[];
  /** A report's pictures as data: URLs. */
  pictures: string[];
  /** A dashboard of a run that is under way, which takes commands. */
  live?: { canControl: boolean; learningRate: number } | undefined;
}

/**
 * What a dashboard's server sends as server-sent events, by the event's name, while a run goes on. All but `page` are of
 * the page's first run.
 */
export interface PageEvents {
  /** All of it: on connection, and when anything has changed that the others do not tell. */
  page: PageData;
  step: { step: number; totalSteps: number; values: Record<string, number | null> };
  evaluation: { step: number; values: Record<string, number | null> };
  completions: PageCompletion[];
  progress: { phase: string; fraction: number };
  warning: { step: number; message: string };
  status: { status: PageRun["status"]; step: number; reason?: string | undefined; learningRate: number };
}
