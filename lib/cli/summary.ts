import { join } from "node:path";
import { VlmR1Error } from "../errors/index.js";
import { type EvaluationRecord, type HeldOutScores, readRecord } from "../eval/index.js";
import { replaceJson } from "../files/index.js";
import { AFTER_FILE, BEFORE_FILE, SUMMARY_FILE } from "../report/run-files.js";
import type { TrainerState } from "../trainer/index.js";
import type { CliContext } from "./context.js";
import { warn } from "./output.js";

/** What a run with held-out data leaves in `summary.json`. */
export interface Summary {
  before: Record<string, number>;
  after: Record<string, number>;
  steps: number;
  train_seconds: number;
  /** Null where no group was trained on. */
  max_sampling_logp_difference: number | null;
}

export function scoresToFile({
  reward,
  nameAccuracy,
  numberAccuracy,
  formatRate,
}: HeldOutScores): Record<string, number> {
  return { reward, name_accuracy: nameAccuracy, number_accuracy: numberAccuracy, format_rate: formatRate };
}

export function summaryOf(before: HeldOutScores, after: HeldOutScores, state: Readonly<TrainerState>): Summary {
  const differences = state.history.flatMap(({ maxLogpDifference: value }) => (value === null ? [] : [value]));
  return {
    before: scoresToFile(before),
    after: scoresToFile(after),
    steps: state.step,
    train_seconds: Math.round(state.seconds * 10) / 10,
    max_sampling_logp_difference: differences.length === 0 ? null : differences.reduce((a, b) => Math.max(a, b)),
  };
}

export async function saveSummary(folder: string, summary: Summary): Promise<void> {
  await replaceJson(join(folder, SUMMARY_FILE), summary);
}

/** The evaluation before the first step is kept, so that a resumed run can still compare with it. */
export async function saveBefore(folder: string, record: EvaluationRecord): Promise<void> {
  await replaceJson(join(folder, BEFORE_FILE), record);
}

/**
 * Undefined where the run has none, and, with a warning, where it has one that cannot be read: a run that goes on does
 * not fail for a comparison.
 */
export async function loadBefore(folder: string, context: CliContext): Promise<EvaluationRecord | undefined> {
  try {
    return await readRecord(join(folder, BEFORE_FILE));
  } catch (error) {
    if (!(error instanceof VlmR1Error)) throw error;
    if (error.code === "ERR_NOT_FOUND") return undefined;
    warn(context, `there will be no comparison with the model before this run: ${error.message}`);
    return undefined;
  }
}

/** The evaluation of the trained model, for reports that compare answer by answer. */
export async function saveAfter(folder: string, record: EvaluationRecord): Promise<void> {
  await replaceJson(join(folder, AFTER_FILE), record);
}
