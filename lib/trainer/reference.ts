import type { AdapterUse, LogProbsOptions, Model, TokenScores } from "../engine/index.js";

/** The policy that the KL term holds on to; it is never trained. */
export interface Reference {
  logProbs(options: LogProbsOptions): Promise<TokenScores[][]>;
  /** Where the reference follows the policy: its weights, which a checkpoint keeps. */
  state?: { save(path: string): Promise<void>; load(path: string): Promise<void> };
  dispose(): void;
}

/**
 * The model that an adapter is trained on, without the adapter or with it as it was at the start: no second copy of the
 * weights is needed.
 */
export function sameModel(model: Model, adapter: Exclude<AdapterUse, "on">): Reference {
  return {
    logProbs: (options) => model.logProbs({ ...options, adapter }),
    dispose: () => {},
  };
}
