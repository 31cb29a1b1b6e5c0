/**
 * Requests to a decoder and what it answers: the part of the native surface that serves many callers at once.
 */

import type { AbortFlag, NativePrompt, SamplingArgs } from "./native-types.js";

/** A request to a decoder: one completion of one prompt, with sampling of its own. */
export interface DecodeRequest {
  /** Names it in `step`'s results and in `remove`; unique among those that have not ended. */
  id: number;
  prompt: NativePrompt;
  sampling: SamplingArgs;
  /** Its random numbers are those of `generate` with this seed, `firstRow` = row and, of n, this completion. */
  seed: number;
  row: number;
  completion: number;
}

export interface DecodeStepArgs {
  /** The step returns as soon as this time is over, and as something ended; a pass over the model is never cut. */
  maxMilliseconds: number;
}

export interface DecodedToken {
  id: number;
  token: number;
  /** Of the plain policy, as `NativeCompletion.logProbs`. */
  logProb: number;
}

export interface DecodeStep {
  /** In the order in which they were drawn; those of an earlier step that was aborted come first. */
  news: DecodedToken[];
  /**
   * Requests that have ended. "length": at `maxNewTokens`, or at the model's last position (`maxPositionEmbeddings`, with
   * the prompt's tokens). "error": it alone could not go on, because memory did not suffice for it or its logits were
   * not finite, and why.
   */
  finished: { id: number; finishReason: "stop" | "length" | "error"; message: string }[];
  /** Requests that are under way, and those that wait for room. */
  active: number;
  waiting: number;
}

/**
 * Continuous batching: requests join while others are under way, and leave when they end. Tokens are the bits that
 * `generate` gives, whatever else is in the batch. Prompts with equal tokens and pictures that wait at the same time or
 * are under way share one encoding.
 */
export interface NativeDecoder {
  /**
   * Queues requests; they join in this order as soon as there is room. Where one cannot be decoded it rejects and queues
   * none: `ERR_TOKENS` (also where the prompt leaves no position for a token), `ERR_SHAPE`, `ERR_ARGUMENT`.
   */
  add(args: { requests: DecodeRequest[] }, abort: AbortFlag): Promise<void>;
  /** Ends requests without a word, also about tokens that were drawn and not told; unknown ids are passed over. */
  remove(args: { ids: number[] }, abort: AbortFlag): Promise<void>;
  /**
   * Goes on with what there is; at once with empty lists where there is nothing. Aborted, it rejects with `ERR_ABORTED`;
   * what it had drawn comes with the next step. Rejects with `ERR_STATE` where the model's weights were written (by
   * `step`, `loadState`, `blend`) while requests were under way: they have to be removed and may be added again.
   */
  step(args: DecodeStepArgs, abort: AbortFlag): Promise<DecodeStep>;
  /** Frees its memory; safe to call twice, also while a verb of it is under way. */
  dispose(): void;
}
