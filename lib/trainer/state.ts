import type { Reporter, StepReport } from "../report/index.js";
import type { TrainerState } from "./checkpoint.js";
import type { RunPlan } from "./options.js";
import type { Session } from "./session.js";

export function newState(
  { objective, config }: RunPlan,
  { model, adapter, rows }: Pick<Session, "model" | "adapter" | "rows">,
  totalSteps: number,
): TrainerState {
  const { seed, promptsPerStep, shuffleDataset } = config;
  return {
    version: 1,
    objective,
    step: 0,
    totalSteps,
    seed,
    position: 0,
    rows: rows.length,
    train: adapter === undefined ? "full" : "lora",
    trainableParameters: model.info().trainableParameters,
    promptsPerStep,
    shuffleDataset,
    updates: 0,
    numTokens: 0,
    seconds: 0,
    history: [],
  };
}

export function historyEntry({ step, metrics }: StepReport): TrainerState["history"][number] {
  // JSON knows no NaN.
  const value = (name: string) => {
    const number = metrics[name];
    return number !== undefined && Number.isFinite(number) ? number : null;
  };
  return {
    step,
    reward: value("reward"),
    loss: value("loss"),
    maxLogpDifference: value("sampling/sampling_logp_difference/max"),
  };
}

/** Warnings come up in the middle of a step; they are told in order, and waited for at its end. */
export class WarningQueue {
  private pending: string[] = [];

  constructor(private readonly reporter: Required<Pick<Reporter, "onWarning">>) {}

  add(message: string): void {
    this.pending.push(message);
  }

  async flush(): Promise<void> {
    const messages = this.pending;
    this.pending = [];
    for (const message of messages) await this.reporter.onWarning(message);
  }
}
