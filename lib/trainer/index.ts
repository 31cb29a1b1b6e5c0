export type { RowFailure } from "../data/encode-rows.js";
export type { EvaluatedAnswer, Evaluation, HeldOutScores } from "../eval/index.js";
export type {
  CompletionRecord,
  Metrics,
  ProfileEntry,
  ProfileReport,
  Progress,
  Reporter,
  RunEnd,
  RunStart,
  StepReport,
} from "../report/index.js";
export type { RewardFailure } from "../rewards/score.js";
export {
  type AdvantageOptions,
  type Advantages,
  computeAdvantages,
  type RewardAggregation,
  type ScaleRewards,
} from "./advantages.js";
export { ADAPTER_FOLDER, type Checkpoint, listCheckpoints, type TrainerState } from "./checkpoint.js";
export type { Dashboard } from "./dashboard.js";
export type {
  CheckpointReport,
  DashboardReport,
  EvaluationReport,
  PauseReport,
  RolloutGroup,
  RolloutReport,
  RunControl,
  TrainerCallbacks,
  TrainerEventName,
  TrainerEvents,
  TrainerListener,
} from "./events.js";
export type { GrpoTrainerOptions, SftTrainerOptions, TrainerOptions } from "./options.js";
export { type SaveModelOptions, saveModelFolder } from "./save-model.js";
export type { SaveTrainedOptions } from "./save-trained.js";
export type { BestEvaluation } from "./state.js";
export { Trainer } from "./trainer.js";
