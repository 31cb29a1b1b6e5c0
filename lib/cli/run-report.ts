import { writeReport } from "../page/index.js";
import type { Trainer } from "../trainer/index.js";
import type { CliContext } from "./context.js";
import { shellQuote, warn } from "./output.js";

/** Milliseconds that an interrupted run's report may take. */
const PATIENCE = 2000;

/**
 * Makes the report of a run that has ended, where it is asked for and a step was done, and tells its path. What goes
 * wrong with that is a warning: the run itself is whole, and its report can be made at any time.
 */
export async function makeReport(trainer: Trainer, context: CliContext): Promise<void> {
  const state = await trainer.state();
  if (!trainer.config.report || state === undefined || state.step === 0) return;
  const { signal, stderr } = context;
  try {
    const limit = signal.aborted ? AbortSignal.timeout(PATIENCE) : signal;
    const { path } = await writeReport(trainer.outputDir, { signal: limit });
    stderr.write(`report: ${path}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    warn(context, `no report was made (${reason}); later: vlmr1-native report ${shellQuote(trainer.outputDir)}`);
  }
}
