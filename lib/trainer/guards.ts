import { z } from "zod";
import type { StepResult } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { Metrics } from "../report/index.js";

/**
 * Updates in a row that may be left out because of numbers that are not finite. One is a bad batch; ten are a model or
 * a setting that will not recover, as nothing changes while all updates are left out.
 */
export const PATIENCE = 10;

const GuardsState = z.object({ inRow: z.int().min(0), total: z.int().min(0) });

export type GuardsState = z.output<typeof GuardsState>;

/**
 * Watches the updates for numbers that are not finite. Each update is shown once: to `lossIsFinite` before it is made,
 * and where that says yes to `check` afterwards.
 */
export class Guards {
  private inRow = 0;
  private total = 0;

  /** @param lastCheckpoint The newest checkpoint's folder, for the advice. */
  constructor(private readonly lastCheckpoint: () => string | undefined) {}

  /**
   * Whether an update may be made with gradients of this loss; where not, the caller drops them.
   *
   * @param step From 0.
   * @throws VlmR1Error `ERR_NON_FINITE` where too many updates in a row were left out
   */
  lossIsFinite(step: number, loss: number, warn: (message: string) => void): boolean {
    if (Number.isFinite(loss)) return true;
    warn(`step ${step + 1}: the loss is ${loss}; the update was left out`);
    this.count("the loss");
    return false;
  }

  /**
   * The engine leaves all weights alone where a gradient is not finite, and single weights where an update would make
   * them so; this says which.
   *
   * @param step From 0.
   * @throws VlmR1Error `ERR_NON_FINITE` where too many updates in a row were left out
   */
  check(step: number, result: StepResult, warn: (message: string) => void): void {
    if (result.skipped) {
      const names = result.nonFinite.join(", ");
      warn(`step ${step + 1}: the gradient is not finite (${names}); the weights were left as they are`);
      this.count(`the gradient of ${names}`);
    } else if (result.nonFiniteWeights.length > 0) {
      const names = result.nonFiniteWeights.join(", ");
      warn(`step ${step + 1}: the update would not leave these finite, so they were left as they are: ${names}`);
      this.count(`the updated ${names}`);
    } else {
      this.inRow = 0;
    }
  }

  /** Updates of the run that were left out, whole or in part. */
  metrics(): Metrics {
    return { num_skipped_updates: this.total };
  }

  /** Plain JSON, for checkpoints. */
  state(): GuardsState {
    return { inRow: this.inRow, total: this.total };
  }

  /** @throws VlmR1Error `ERR_CHECKPOINT` for what `state` did not give */
  restore(state: unknown): void {
    const { success, data } = GuardsState.safeParse(state);
    if (!success) {
      throw new VlmR1Error("ERR_CHECKPOINT", `guards: expected counts of updates, got ${JSON.stringify(state)}`);
    }
    this.inRow = data.inRow;
    this.total = data.total;
  }

  private count(what: string): void {
    this.total += 1;
    this.inRow += 1;
    if (this.inRow < PATIENCE) return;
    const checkpoint = this.lastCheckpoint();
    const resume =
      checkpoint === undefined
        ? "There is no checkpoint yet: start anew."
        : `The last good state is ${checkpoint}; --resume goes on from it.`;
    throw new VlmR1Error(
      "ERR_NON_FINITE",
      `${PATIENCE} updates in a row were left out for numbers that are not finite, the last one for ${what}`,
      {
        hint:
          "Lower learning_rate to a tenth or max_grad_norm to 0.2, train with precision: auto where it is bf16, " +
          `and check that no reward returns huge numbers. ${resume}`,
      },
    );
  }
}
