import type { Row } from "../data/datasets/index.js";

/** What a reward may want to know beside the completion and its row. */
export interface RewardContext {
  /** The training step, from 0; during an evaluation the step after which it runs. */
  readonly step: number;
  /** Whether the completion is scored by an evaluation, not for training. */
  readonly evaluation: boolean;
  /** Aborted when the run is interrupted or this call's time limit is over. */
  readonly signal: AbortSignal;
}

/** `null` (or `undefined`): this reward does not apply to this row; the completion's other rewards decide alone. */
export type RewardValue = number | null | undefined;

/**
 * Judges one completion. Must be pure in its arguments where a run is to be repeatable: it may be called again for the
 * same completion after a resume. What it throws is reported with the row's id and counts as "not applicable".
 *
 * @param completion The text that the model wrote, special tokens left out.
 * @param row The data row: `solution`, `images` (paths) and all fields of the file in `raw`.
 */
export type RewardFunction = (
  completion: string,
  row: Row,
  context: RewardContext,
) => RewardValue | Promise<RewardValue>;

/** A reward function under the name that metrics and logs use (`rewards/<name>/mean`). */
export interface NamedReward {
  readonly name: string;
  readonly compute: RewardFunction;
}
