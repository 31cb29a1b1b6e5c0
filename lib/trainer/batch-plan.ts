import type { GrpoConfig, RunConfig } from "../config/train-schema.js";
import { VlmR1Error } from "../errors/index.js";

/** How the questions of a step become optimizer updates. */
export interface BatchPlan {
  /** Questions of one optimizer update; the last one of a run may have fewer. */
  promptsPerUpdate: number;
  /** Updates that are made of different questions of one rollout. */
  updatesPerRollout: number;
  /** Questions that are sampled at once: those of a step. */
  promptsPerRollout: number;
}

type Batched = Pick<RunConfig, "promptsPerStep" | "gradientAccumulationSteps"> &
  Partial<Pick<GrpoConfig, "stepsPerGeneration">>;

/**
 * TRL's batch sizes in questions. A rollout that is smaller than an update is enlarged to it: the policy does not change
 * within one, so that is the same. Throws `ERR_CONFIG` where a rollout is no whole number of updates.
 */
export function batchPlan({ promptsPerStep, gradientAccumulationSteps, stepsPerGeneration }: Batched): BatchPlan {
  const promptsPerUpdate = promptsPerStep * gradientAccumulationSteps;
  const updatesPerRollout = Math.max(1, (stepsPerGeneration ?? 1) / gradientAccumulationSteps);
  if (!Number.isInteger(updatesPerRollout)) {
    throw new VlmR1Error(
      "ERR_CONFIG",
      `steps_per_generation: expected a multiple of gradient_accumulation_steps (${gradientAccumulationSteps}), ` +
        `got ${stepsPerGeneration}`,
      { hint: "A rollout is cut into whole optimizer updates; prompts_per_step sets their size." },
    );
  }
  return { promptsPerUpdate, updatesPerRollout, promptsPerRollout: promptsPerUpdate * updatesPerRollout };
}
