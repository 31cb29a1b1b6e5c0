import type { Trainer } from "../trainer/index.js";
import type { CliContext } from "./context.js";
import { untilInterrupted } from "./serving.js";

/**
 * After a run that is over: where someone sits before a terminal and has its page open, that stays until Ctrl-C. The
 * model is freed before.
 */
export async function keepDashboard(trainer: Trainer, context: CliContext): Promise<void> {
  if (context.stderr.isTTY !== true || (trainer.dashboard?.viewers ?? 0) === 0) return;
  const dashboard = trainer.takeDashboard();
  if (dashboard === undefined) return;
  try {
    dashboard.keepProcess(true);
    await trainer.dispose();
    context.stderr.write("the run is over; its dashboard stays open until Ctrl-C\n");
    await untilInterrupted(context);
  } finally {
    await dashboard.close();
  }
}
