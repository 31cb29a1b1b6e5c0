import { join } from "node:path";
import { isAbort } from "../errors/index.js";
import { type EvaluationRecord, formatSample, pickSamples, recordOf, scoresOf, scoreTable } from "../eval/index.js";
import { formatTable } from "../report/format.js";
import { TerminalReporter } from "../report/index.js";
import { readRunFile } from "../report/run-files.js";
import {
  ADAPTER_FOLDER,
  type Checkpoint,
  listCheckpoints,
  Trainer,
  type TrainerOptions,
  type TrainerState,
} from "../trainer/index.js";
import type { CliContext } from "./context.js";
import { keepDashboard } from "./keep-dashboard.js";
import { printJson, shellQuote } from "./output.js";
import { makeReport } from "./run-report.js";
import { loadBefore, saveAfter, saveBefore, saveSummary, summaryOf } from "./summary.js";

export interface RunOptions {
  /** Print the summary as JSON in place of tables. */
  json: boolean;
  /** How this command was called, for telling how to go on after an interruption. */
  command: string;
}

/** Questions that are shown before and after. */
const SAMPLES = 6;

/** Trains from the command line: held-out scores before and after where there is held-out data, and a summary. */
export async function runTraining(options: TrainerOptions, context: CliContext, run: RunOptions): Promise<void> {
  const terminal = new TerminalReporter({ screen: context.stderr, loggingSteps: options.loggingSteps ?? 10 });
  const trainer = new Trainer({ ...options, reporters: [terminal] });
  const { signal } = context;
  try {
    const before = await evaluateBefore(trainer, context);
    for await (const _step of trainer.run({ signal }));
    const after = before === undefined ? undefined : recordOf(await trainer.evaluate({ signal }));
    await finish(trainer, before, after, context, run);
    // Stopped, as on its dashboard: it has ended in good order, but not at its end.
    if ((await readRunFile(trainer.outputDir))?.status === "interrupted") await sayHowToGoOn(trainer, context, run);
    await makeReport(trainer, context);
    await keepDashboard(trainer, context);
  } catch (error) {
    if (isAbort(error, signal)) {
      await sayHowToGoOn(trainer, context, run);
      await makeReport(trainer, context);
    }
    throw error;
  } finally {
    await trainer.dispose();
  }
}

/** A resumed run has its scores from the first time. */
async function evaluateBefore(trainer: Trainer, context: CliContext): Promise<EvaluationRecord | undefined> {
  const { signal } = context;
  if (!trainer.hasEvalData) return undefined;
  if (await trainer.isResumed({ signal })) return loadBefore(trainer.outputDir, context);
  const record = recordOf(await trainer.evaluate({ signal }));
  await saveBefore(trainer.outputDir, record);
  return record;
}

async function finish(
  trainer: Trainer,
  before: EvaluationRecord | undefined,
  after: EvaluationRecord | undefined,
  context: CliContext,
  run: RunOptions,
): Promise<void> {
  const state = (await trainer.state()) as TrainerState;
  const checkpoints = await listCheckpoints(trainer.outputDir);
  const best = trainer.config.loadBestModelAtEnd ? state.best?.step : undefined;
  const chosen = checkpoints.find(({ step }) => step === best) ?? checkpoints.at(-1);
  if (before === undefined || after === undefined) {
    const model = resultPath(trainer, state, chosen);
    if (run.json) printJson(context, { steps: state.step, train_seconds: state.seconds, model });
    else context.stdout.write(`model: ${model}\n`);
    return;
  }
  const [scoresBefore, scoresAfter] = [scoresOf(before.answers), scoresOf(after.answers)];
  const summary = summaryOf(scoresBefore, scoresAfter, state);
  await saveAfter(trainer.outputDir, after);
  await saveSummary(trainer.outputDir, summary);
  if (run.json) {
    printJson(context, summary);
    return;
  }
  const samples = pickSamples(before, after, SAMPLES).flatMap((sample) => ["", ...formatSample(sample)]);
  const difference = summary.max_sampling_logp_difference;
  const lines = [
    ...samples,
    "",
    ...formatTable(scoreTable(scoresBefore, scoresAfter)),
    "",
    `${summary.steps} steps in ${summary.train_seconds} s`,
    ...(difference === null ? [] : [`largest difference of log-probabilities, sampling to training: ${difference}`]),
    `model: ${resultPath(trainer, state, chosen)}`,
  ];
  context.stdout.write(`${lines.join("\n")}\n`);
}

/** What `--model` takes, here and elsewhere. */
function resultPath({ config }: Trainer, { train }: TrainerState, chosen: Checkpoint | undefined): string {
  const saved = config.saveModelTo ?? config.saveMergedTo;
  if (saved !== undefined || chosen === undefined) return saved ?? config.model;
  return train === "lora" ? join(chosen.path, ADAPTER_FOLDER) : chosen.path;
}

async function sayHowToGoOn(trainer: Trainer, context: CliContext, run: RunOptions): Promise<void> {
  if ((await listCheckpoints(trainer.outputDir)).length === 0) return;
  const config = shellQuote(join(trainer.outputDir, "config.yaml"));
  context.stderr.write(`to go on: ${run.command} --config ${config} --resume\n`);
}
