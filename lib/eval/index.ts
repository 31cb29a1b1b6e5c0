export { type EvaluationRecord, formatSample, pickSamples, recordOf, type Sample, scoreTable } from "./before-after.js";
export {
  type EvaluatedAnswer,
  type EvaluateOptions,
  type EvaluateParts,
  type Evaluation,
  evaluate,
  rowsPerCall,
} from "./evaluate.js";
export { evaluationMetricNames, type HeldOutScores } from "./metrics.js";
