import type { StepResult } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";

/** Updates in a row that may be skipped because of a gradient that is not finite. */
const PATIENCE = 10;

/**
 * Watches the updates. The engine leaves the weights alone when a gradient is not finite; this says so, and stops the
 * run when it happens again and again.
 */
export class Guards {
  private skippedInRow = 0;

  constructor(private readonly lastCheckpoint: () => string | undefined) {}

  /** Whether an update was made. Throws `ERR_NON_FINITE` after too many in a row that were not. */
  check(step: number, result: StepResult & { loss: number }, warn: (message: string) => void): boolean {
    if (!result.skipped) {
      this.skippedInRow = 0;
      return true;
    }
    this.skippedInRow += 1;
    const names = result.nonFinite.join(", ");
    warn(`step ${step + 1}: the gradient is not finite (${names}); the weights were left as they are`);
    if (this.skippedInRow < PATIENCE) return false;
    const checkpoint = this.lastCheckpoint();
    throw new VlmR1Error(
      "ERR_NON_FINITE",
      `${PATIENCE} updates in a row had a gradient that is not finite (${names})`,
      {
        hint:
          "Lower learning_rate or max_grad_norm." +
          (checkpoint === undefined ? "" : ` The last good state is ${checkpoint}; --resume goes on from it.`),
      },
    );
  }
}
