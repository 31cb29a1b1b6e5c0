export * from "./config/index.js";
export * from "./data/convert/index.js";
export * from "./data/crawl/index.js";
export * from "./data/datasets/index.js";
export { type DataStatistics, dataStatistics, type Histogram } from "./data/statistics.js";
export * from "./engine/index.js";
export * from "./errors/index.js";
export {
  type BootstrapOptions,
  byClass,
  type ChangedRow,
  type ClassComparison,
  type ClassOf,
  type ClassScores,
  type CompareOptions,
  type Comparison,
  type ConfidenceInterval,
  type ConfusionCount,
  classesByField,
  compareRecords,
  confusion,
  type EvaluationRecord,
  type NumberBin,
  type NumberCalibration,
  numberCalibration,
  type PairedDifference,
  pairedBootstrap,
  type RecordedAnswer,
  readRecord,
  recordOf,
  type ScoreComparison,
} from "./eval/index.js";
export * from "./hub/index.js";
export {
  type ComputeLossInput,
  type ComputeLossOptions,
  computeLoss,
  entropyThreshold,
  highEntropyMask,
  type LossResult,
  type TokenRows,
} from "./losses/index.js";
export * from "./page/index.js";
export { type ServeRunsOptions, serveRuns } from "./page/server/serve-runs.js";
export * from "./processing/index.js";
export type { RewardContext, RewardFunction, RewardImage, RewardValue } from "./rewards/index.js";
export * as rewards from "./rewards/index.js";
export * from "./serve/index.js";
export * from "./trainer/index.js";
