import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { RunConfig } from "../config/train-schema.js";
import { VlmR1Error } from "../errors/index.js";
import { replaceFile } from "../files/index.js";
import { checkpointName } from "./checkpoint-folder.js";
import { checkSeveralAnswers } from "./evaluation-sampling.js";
import type { BestEvaluation, TrainerState } from "./state.js";

/** Says which checkpoint of a run is the best, for people and other programs; a run itself asks trainer.json. */
export const BEST_FILE = "best.json";

/** With `eval_` in front, which may be left out as in transformers. */
export function bestMetricName({ metricForBestModel: asked }: Pick<RunConfig, "metricForBestModel">): string {
  return asked.startsWith("eval_") ? asked : `eval_${asked}`;
}

export function greaterIsBetter(config: Pick<RunConfig, "metricForBestModel" | "greaterIsBetter">): boolean {
  return config.greaterIsBetter ?? !config.metricForBestModel.endsWith("loss");
}

/** NaN is never better; anything else is better than nothing. */
export function isBetter(value: number, best: number | undefined, greater: boolean): boolean {
  if (Number.isNaN(value)) return false;
  return best === undefined || (greater ? value > best : value < best);
}

/** Throws `ERR_CONFIG`, with the names that there are, where evaluations have no such metric. */
export function checkMetricName(name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  throw new VlmR1Error("ERR_CONFIG", `metric_for_best_model: there is no ${name}`, {
    hint: `An evaluation of this run has ${known.join(", ")}.`,
  });
}

/** What needs evaluations must get them. `hasEvalData`: whether rows are held out. Throws `ERR_CONFIG`. */
export function checkEvaluationOptions(config: RunConfig, hasEvalData: boolean): void {
  const { evalSteps, earlyStoppingPatience, loadBestModelAtEnd } = config;
  if (evalSteps > 0 && !hasEvalData) {
    throw new VlmR1Error("ERR_CONFIG", `eval_steps is ${evalSteps}, but there is nothing to evaluate on`, {
      hint: "Give eval_dataset, or hold out a part of the data with val_split_ratio.",
    });
  }
  const needy = [
    ...(earlyStoppingPatience > 0 ? ["early_stopping_patience"] : []),
    ...(loadBestModelAtEnd ? ["load_best_model_at_end"] : []),
  ];
  if (needy.length > 0 && evalSteps === 0) {
    throw new VlmR1Error("ERR_CONFIG", `${needy.join(" and ")} would have no evaluation to go by: eval_steps is 0`, {
      hint: "Give eval_steps.",
    });
  }
  checkSeveralAnswers(config);
}

/** Writes, or where there is no best one removes, best.json. */
export async function writeBestFile(runFolder: string, best: BestEvaluation | null): Promise<void> {
  const path = join(runFolder, BEST_FILE);
  if (best === null) return rm(path, { force: true });
  const { metric, value, step } = best;
  const text = `${JSON.stringify({ metric, value, step, checkpoint: `checkpoints/${checkpointName(step)}` })}\n`;
  await replaceFile(path, { what: "write" }, (file) => file.writeFile(text));
}

/** A best evaluation by another metric than this run's is none. */
export function comparableBest(state: TrainerState, metric: string): boolean {
  return state.best === null || state.best.metric === metric;
}
