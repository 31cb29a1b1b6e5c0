import type { GrpoConfig } from "../config/train-schema.js";
import { VlmR1Error } from "../errors/index.js";
import { batchPlan } from "./batch-plan.js";

/** Options that mean nothing together, before anything is opened. Throws `ERR_CONFIG`. */
export function checkGrpo(config: GrpoConfig): void {
  batchPlan(config);
  const { lossType, importanceSamplingLevel: level, syncRefModel, beta, entropyCoefMin, entropyCoefMax } = config;
  if (lossType === "luspo" && level !== "sequence") {
    refuse(
      `loss_type luspo needs importance_sampling_level sequence, got ${level}`,
      "Add --importance-sampling-level sequence; ranges are narrow then: epsilon 0.003, epsilon_high 0.004.",
    );
  }
  if (lossType === "vespo" && level !== "token") {
    refuse(
      `loss_type vespo needs importance_sampling_level token, got ${level}`,
      "Leave importance_sampling_level out: its weight is made of the whole completion anyway.",
    );
  }
  if (syncRefModel && beta === 0) {
    refuse(
      "sync_ref_model needs beta above 0, got 0",
      "Without KL there is no reference that could follow: set beta to 0.04.",
    );
  }
  if (entropyCoefMin > entropyCoefMax) {
    refuse(`entropy_coef_min ${entropyCoefMin} is above entropy_coef_max ${entropyCoefMax}`, "Exchange them.");
  }
}

function refuse(message: string, hint: string): never {
  throw new VlmR1Error("ERR_CONFIG", message, { hint });
}
