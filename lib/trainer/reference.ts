import type { AdapterUse, LogProbsOptions, Model, TokenScores } from "../engine/index.js";

/** The policy that the KL term holds on to; it is never trained. */
export interface Reference {
  logProbs(options: LogProbsOptions): Promise<TokenScores[][]>;
  /** Where the reference follows the policy: reference = alpha · policy + (1 − alpha) · reference, weight by weight. */
  follow?: (policy: Model, alpha: number) => Promise<void>;
  /** Where it does: its weights, which a checkpoint keeps. */
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

/** A model of its own; `follows`: it was loaded writable, to be moved towards the policy. */
export function ownModel(model: Model, follows: boolean): Reference {
  const frozen: Reference = { logProbs: (options) => model.logProbs(options), dispose: () => model.dispose() };
  if (!follows) return frozen;
  return {
    ...frozen,
    follow: (policy, alpha) => model.blend(policy, alpha),
    state: { save: (path) => model.save(path, { what: "state" }), load: (path) => model.loadState(path) },
  };
}
