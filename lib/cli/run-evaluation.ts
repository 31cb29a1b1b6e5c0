import type { Command } from "commander";
import type { EvalConfig } from "../config/eval-schema.js";
import { toKebab } from "../config/names.js";
import { describeProblem, loadConversations, type Row } from "../data/datasets/index.js";
import { usageError } from "../errors/index.js";
import { type EvaluatedAnswer, type Evaluation, evaluate, knownAnswers, type RecordedAnswer } from "../eval/index.js";
import { loadReward } from "../rewards/index.js";
import { nameRewards } from "../rewards/named.js";
import { Scorer } from "../rewards/score.js";
import { evaluateOptionsOf } from "../trainer/evaluation-sampling.js";
import { AnswersFile } from "./answers-file.js";
import { answersOptions } from "./answers-options.js";
import type { CliContext } from "./context.js";
import { type OpenOptions, withModel } from "./open.js";
import { StatusLine, warn } from "./output.js";

/** The fields of a command that evaluates models. */
export type EvaluatingConfig = Parameters<typeof evaluateOptionsOf>[0] & Pick<EvalConfig, "rewards">;

type DatasetConfig = Pick<EvalConfig, "dataset" | "imageFolders"> & { limit?: number | undefined };

/** The rows of a command's data set; those that cannot be used are told of. */
export async function loadRows(
  { dataset, imageFolders, limit }: DatasetConfig,
  context: CliContext,
  { checkImages = true } = {},
): Promise<Row[]> {
  const { signal } = context;
  const { rows, problems } = await loadConversations(dataset, { imageFolders, checkImages, signal });
  for (const problem of problems) warn(context, `left out: ${describeProblem(problem)}`);
  return rows.slice(0, limit);
}

/** Flags that say how a model is evaluated would change nothing about answers that are there. */
export function refuseModelFlags(command: Command, others: readonly string[], because: string): void {
  const known = [...others, "json", "config", "set"];
  const flag = Object.keys(command.opts()).find((name) => !known.includes(name));
  if (flag === undefined) return;
  throw usageError(`--${toKebab(flag)} is about evaluating a model, but ${because}`, "Leave out one of the two.");
}

/** What answers are judged by; made once for all models of a command. */
export async function loadScorer({ rewards }: Pick<EvaluatingConfig, "rewards">, rows: readonly Row[]) {
  const scorer = new Scorer(nameRewards(await Promise.all(rewards.map((reward) => loadReward(reward)))));
  scorer.checkRows(rows);
  return scorer;
}

export interface EvaluationRun {
  model: OpenOptions;
  config: EvaluatingConfig;
  rows: readonly Row[];
  scorer: Scorer;
  /** The file that gets the answers as they come. */
  answers?: string | undefined;
  /** Go on with the answers that the file holds. */
  resume?: boolean | undefined;
  /** In front of the progress, where several models are evaluated. */
  name?: string | undefined;
}

/** Has a model answer the rows, shows how far it is, and tells what went wrong with rows and rewards. */
export async function runEvaluation(run: EvaluationRun, context: CliContext): Promise<Evaluation> {
  const { model: options, config, rows, scorer, name } = run;
  const { signal } = context;
  const { answers, known } = await openAnswers(run, context);
  const status = new StatusLine(context);
  const before = name === undefined ? "" : `${name}: `;
  try {
    const evaluation = await withModel(context, options, { signal }, ({ model, processor }) =>
      evaluate(
        { model, processor, rows, scorer },
        {
          ...evaluateOptionsOf(config),
          step: 0,
          signal,
          onProgress: (fraction) => status.show(`${before}${Math.round(fraction * 100)} % of ${rows.length} rows`),
          known,
          onAnswers: (news) => answers?.add(news),
        },
      ).finally(() => status.clear()),
    );
    warnOf(evaluation, context);
    return evaluation;
  } catch (error) {
    answers?.tell(context);
    throw error;
  } finally {
    await answers?.close();
  }
}

interface OpenAnswers {
  answers?: AnswersFile;
  known?: Map<string, EvaluatedAnswer[]>;
}

async function openAnswers(run: EvaluationRun, context: CliContext): Promise<OpenAnswers> {
  const { answers: path, resume, model, config, rows, scorer } = run;
  if (path === undefined) {
    if (resume !== true) return {};
    throw usageError("there is no file to go on with", "Give --answers too: what was written there goes on.");
  }
  const options = answersOptions(model, config);
  if (resume !== true) return { answers: await AnswersFile.at(path, options) };
  const rewards = scorer.rewards.map(({ name }) => name);
  let known = new Map<string, EvaluatedAnswer[]>();
  const keep = (recorded: readonly RecordedAnswer[]) => {
    known = knownAnswers(recorded, rows, { rewards, numGenerations: config.numGenerationsEval });
    return [...known.values()].flat();
  };
  const answers = await AnswersFile.behind(path, options, keep, context);
  return { answers, known };
}

function warnOf({ failures }: Evaluation, context: CliContext): void {
  for (const { row, message } of failures.rows) warn(context, `left out: ${row.id}: ${message}`);
  for (const { reward, row, message } of failures.rewards) warn(context, `reward ${reward}, row ${row}: ${message}`);
}
