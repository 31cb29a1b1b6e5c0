import type { Row } from "../data/datasets/index.js";

/** A picture of the row, as the model got it. */
export interface RewardImage {
  /** The file. */
  readonly path: string;
  /** Pixels before and after the resize that the model's processor makes. */
  readonly width: number;
  readonly height: number;
  readonly resizedWidth: number;
  readonly resizedHeight: number;
}

/** What a reward may want to know beside the completion and its row. */
export interface RewardContext {
  /** The training step, from 0; during an evaluation the step after which it runs. */
  readonly step: number;
  /** Whether the completion is scored by an evaluation, not for training. */
  readonly evaluation: boolean;
  /** Aborted when the run is interrupted or this call's time limit is over. */
  readonly signal: AbortSignal;
  /** The last question of the row's conversation, without marks of pictures and without the prompt suffix. */
  readonly question: string;
  /** The row's pictures, in the order of `row.images`. */
  readonly images: readonly RewardImage[];
  /** Ids of the completion's tokens, the end token included: `tokens.length` is its length. */
  readonly tokens: ArrayLike<number>;
  /** Whether the completion was cut off at `maxCompletionLength`. */
  readonly truncated: boolean;
  /** Most tokens that a completion of this run may have. */
  readonly maxCompletionLength: number;
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
