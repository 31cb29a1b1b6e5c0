export * from "./analysis/index.js";
export { formatSample, pickSamples, type Sample, scoreTable } from "./before-after.js";
export {
  type ChangedRow,
  type ClassComparison,
  type CompareOptions,
  type Comparison,
  compareRecords,
  type ScoreComparison,
} from "./compare.js";
export {
  type EvaluatedAnswer,
  type EvaluateOptions,
  type EvaluateParts,
  type Evaluation,
  evaluate,
  rowsPerCall,
} from "./evaluate.js";
export { knownAnswers } from "./known-answers.js";
export { recordedAnswer, recordOf } from "./make-record.js";
export { evaluationMetricNames, type HeldOutScores, scoresOf } from "./metrics.js";
export { parseRecord, readRecord } from "./read-record.js";
export { type EvaluationRecord, EvaluationRecordSchema, type RecordedAnswer, RecordedAnswerSchema } from "./record.js";
