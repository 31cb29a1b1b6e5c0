import { toFileConfig } from "../config/index.js";
import { VlmR1Error } from "../errors/index.js";
import { QuietReporter } from "./quiet.js";
import type { Reporter } from "./reporter.js";
import { TensorBoardReporter } from "./tensorboard.js";
import { makeWandb, type WandbEnvironment } from "./wandb.js";

/** The options of a run; trackers show all of them. */
export interface TrackerConfig {
  reportTo: readonly ("tensorboard" | "wandb" | "none")[];
  runName?: string | undefined;
  outputDir: string;
  loggingSteps: number;
  /** Whether completions may be shown; supervised training has none. */
  logCompletions?: boolean | undefined;
}

export interface TrackerContext extends Partial<WandbEnvironment> {
  /** For what goes wrong without stopping the run. */
  warn(message: string): void;
}

/**
 * The trackers that `report_to` names. What they need is looked for here, so this belongs before the weights are loaded.
 *
 * @throws VlmR1Error `ERR_CONFIG` where "none" stands beside others, or where a tracker's package or key is missing
 */
export async function makeTrackers(config: TrackerConfig, context: TrackerContext): Promise<Reporter[]> {
  const names = [...new Set(config.reportTo)];
  if (names.includes("none") && names.length > 1) {
    throw new VlmR1Error("ERR_CONFIG", `report_to: expected none alone or trackers, got ${names.join(", ")}`, {
      hint: "Leave none out, or the others.",
    });
  }
  const shown = toFileConfig(config) as Readonly<Record<string, unknown>>;
  const reporters: Reporter[] = [];
  if (names.includes("tensorboard")) {
    const completionsEvery = config.logCompletions ? config.loggingSteps : 0;
    const reporter = new TensorBoardReporter({ config: shown, completionsEvery });
    reporters.push(new QuietReporter("TensorBoard", reporter, context.warn));
  }
  if (names.includes("wandb")) {
    const reporter = await makeWandb({ runName: config.runName, outputDir: config.outputDir, config: shown }, context);
    if (reporter !== undefined) reporters.push(new QuietReporter("Weights & Biases", reporter, context.warn));
  }
  return reporters;
}
