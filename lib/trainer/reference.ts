import type { LogProbsOptions, Model, TokenScores } from "../engine/index.js";

/** The policy that the KL term holds on to; it is never trained. */
export interface Reference {
  logProbs(options: LogProbsOptions): Promise<TokenScores[][]>;
  dispose(): void;
}

/** The model that an adapter is trained on, without it: no second copy of the weights is needed. */
export function adapterOff(model: Model): Reference {
  return {
    logProbs: (options) => model.logProbs({ ...options, adapter: false }),
    dispose: () => {},
  };
}
