export type { EvaluatedAnswer, Evaluation, HeldOutScores } from "../eval/index.js";
export type { CompletionRecord, Metrics, Progress, Reporter, RunEnd, RunStart, StepReport } from "../report/index.js";
export { type AdvantageOptions, type Advantages, computeAdvantages } from "./advantages.js";
export { type Checkpoint, listCheckpoints, type TrainerState } from "./checkpoint.js";
export type { GrpoTrainerOptions, SftTrainerOptions, TrainerOptions } from "./options.js";
export { Trainer } from "./trainer.js";
