import type { RunConfig } from "../config/train-schema.js";
import { RandomStream } from "../data/random.js";
import { VlmR1Error } from "../errors/index.js";
import type { EvaluateOptions } from "../eval/index.js";

/** Keeps the answers of evaluations apart from other random numbers of the same seed: no number of an epoch or a row. */
const EVALUATION = 2 ** 48 + 3;

/** The seed of an evaluation's answers: that of `eval` is that of a run's own evaluations with the same `seed`. */
function evaluationSeed({ seed }: Pick<RunConfig, "seed">): number {
  return new RandomStream(seed, EVALUATION).next();
}

/** Throws `ERR_CONFIG` where several answers per question are asked for that could not differ. */
export function checkSeveralAnswers({
  numGenerationsEval,
  evalTemperature,
}: Pick<RunConfig, "numGenerationsEval" | "evalTemperature">): void {
  if (numGenerationsEval === 1 || evalTemperature > 0) return;
  throw new VlmR1Error(
    "ERR_CONFIG",
    `num_generations_eval is ${numGenerationsEval}, but eval_temperature is 0: all answers would be the same`,
    { hint: "Give eval_temperature, for example 1." },
  );
}

type Evaluated = Pick<
  RunConfig,
  | "rewardWeights"
  | "rewardTimeout"
  | "rewardConcurrency"
  | "rewardRetries"
  | "maxCompletionLength"
  | "promptSuffix"
  | "evalBatchSize"
  | "evalTemperature"
  | "numGenerationsEval"
  | "seed"
>;

/** What runs and the command `eval` have in common; when it is and who follows it is the caller's. */
export function evaluateOptionsOf(config: Evaluated): Omit<EvaluateOptions, "step"> {
  return {
    rewardWeights: config.rewardWeights,
    rewardTimeLimit: config.rewardTimeout * 1000,
    rewardConcurrency: config.rewardConcurrency,
    rewardRetries: config.rewardRetries,
    maxCompletionLength: config.maxCompletionLength,
    promptSuffix: config.promptSuffix,
    batchSize: config.evalBatchSize,
    temperature: config.evalTemperature,
    numGenerations: config.numGenerationsEval,
    seed: evaluationSeed(config),
  };
}
