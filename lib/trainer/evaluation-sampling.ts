import type { RunConfig } from "../config/train-schema.js";
import { VlmR1Error } from "../errors/index.js";
import { RandomStream } from "./random.js";

/** Keeps the answers of evaluations apart from other random numbers of the same seed: no number of an epoch or a row. */
const EVALUATION = 2 ** 48 + 3;

/** The seed of an evaluation's answers: that of `eval` is that of a run's own evaluations with the same `seed`. */
export function evaluationSeed({ seed }: Pick<RunConfig, "seed">): number {
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
