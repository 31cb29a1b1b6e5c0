export { DownloadText } from "./download.js";
export { JsonlReporter } from "./jsonl.js";
export type { ProfileEntry, ProfileReport } from "./profile.js";
export type {
  CompletionRecord,
  Metrics,
  Progress,
  Reporter,
  RunEnd,
  RunStart,
  StepReport,
} from "./reporter.js";
export { type TerminalOptions, TerminalReporter } from "./terminal.js";
export { makeTrackers, type TrackerConfig, type TrackerContext } from "./trackers.js";
