import { VlmR1Error } from "../errors/index.js";
import { type EvaluateOptions, type Evaluation, evaluate } from "../eval/index.js";
import { span } from "../report/spans.js";
import { bestMetricName, checkMetricName, greaterIsBetter, isBetter } from "./best-checkpoint.js";
import { countWithoutBetter, type EarlyStoppingOptions, earlyStopReason } from "./early-stopping.js";
import { evaluateOptionsOf } from "./evaluation-sampling.js";
import type { OpenRun } from "./run.js";
import { finite } from "./state.js";

/** Answers to the held-out data with the weights as they are, scored and told. Throws `ERR_CONFIG` without such data. */
export async function evaluateRun(run: OpenRun, signal: AbortSignal | undefined): Promise<Evaluation> {
  const evaluation = await answerHeldOut(run, signal);
  await tell(run, evaluation, false);
  return evaluation;
}

/** The evaluation that is due after the step that is done, unless it has been made; says whether it was the best. */
export async function evaluateIfDue(run: OpenRun, signal: AbortSignal | undefined): Promise<boolean> {
  const { state } = run;
  const { evalSteps } = run.options.plan.config;
  const due = evalSteps > 0 && state.step > 0 && state.step % evalSteps === 0;
  if (!due || state.evaluations.some(({ step }) => step === state.step)) return false;
  const evaluation = await answerHeldOut(run, signal);
  const best = judge(run, evaluation);
  await tell(run, evaluation, best);
  return best;
}

/** Why the run is to end before its last step, by its evaluations. */
export function stoppedEarly({ state, options }: OpenRun): string | undefined {
  const { config } = options.plan;
  if (config.evalSteps === 0) return undefined;
  return earlyStopReason(state.withoutBetter, bestMetricName(config), earlyStopping(config));
}

/** Notes how the evaluation fared, and whether it is the best so far. */
function judge({ state, options }: OpenRun, { metrics }: Evaluation): boolean {
  const { config } = options.plan;
  const metric = bestMetricName(config);
  checkMetricName(metric, Object.keys(metrics));
  const value = metrics[metric] as number;
  const { step, best } = state;
  const greater = greaterIsBetter(config);
  state.withoutBetter = countWithoutBetter(state.withoutBetter, value, best?.value, earlyStopping(config));
  state.evaluations.push({ step, value: finite(value) });
  if (!isBetter(value, best?.value, greater)) return false;
  state.best = { metric, value, step };
  return true;
}

function earlyStopping(config: OpenRun["options"]["plan"]["config"]): EarlyStoppingOptions {
  return {
    patience: config.earlyStoppingPatience,
    threshold: config.earlyStoppingThreshold,
    greaterIsBetter: greaterIsBetter(config),
  };
}

async function answerHeldOut(run: OpenRun, signal: AbortSignal | undefined): Promise<Evaluation> {
  const { session, weightsOf, events, options } = run;
  const { config } = options.plan;
  const { model, processor, scorer, evalRows: rows } = session;
  if (rows === undefined) {
    throw new VlmR1Error("ERR_CONFIG", "eval_dataset: must be given for an evaluation", {
      hint: "Or hold out a part of the data with val_split_ratio.",
    });
  }
  const evaluateOptions: EvaluateOptions = {
    ...evaluateOptionsOf(config),
    step: weightsOf,
    signal,
    onProgress: (fraction) => events.emitNow("progress", { phase: "evaluating", fraction }),
  };
  return span("evaluation", () => evaluate({ model, processor, scorer, rows }, evaluateOptions));
}

async function tell({ events, weightsOf: step }: OpenRun, evaluation: Evaluation, best: boolean): Promise<void> {
  const { metrics, answers, failures } = evaluation;
  for (const { row, message } of failures.rows) events.warn(`row ${row.id} is left out: ${message}`);
  for (const { reward, row, message } of failures.rewards) events.warn(`reward ${reward}, row ${row}: ${message}`);
  await events.flush();
  await events.emit("eval", { step, metrics, answers, best });
}
