import { open, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { type EvalConfig, evalSchema } from "../config/eval-schema.js";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { describeProblem, loadConversations } from "../data/datasets/index.js";
import { fromSystem } from "../errors/index.js";
import { type EvaluatedAnswer, type Evaluation, evaluate, recordedAnswer } from "../eval/index.js";
import { formatTable } from "../report/format.js";
import { loadReward } from "../rewards/index.js";
import { nameRewards } from "../rewards/named.js";
import { Scorer } from "../rewards/score.js";
import { checkSeveralAnswers, evaluateOptionsOf } from "../trainer/evaluation-sampling.js";
import type { CliContext } from "./context.js";
import { withModel } from "./open.js";
import { printJson, StatusLine, warn } from "./output.js";
import { scoresToFile } from "./summary.js";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("eval")
    .description("answer a data set, greedily unless told otherwise, and score the answers")
    .option("--json", "print the scores as JSON");
  addConfigFlags(command, evalSchema);
  command.addHelpText(
    "after",
    "\nExample:\n  vlmr1-native eval --model examples/food/starter --dataset examples/food/test-quick.json",
  );
  command.action(async (options: { json?: boolean }) => {
    const config = await readCommandConfig(command, evalSchema);
    checkSeveralAnswers(config);
    if (config.answers !== undefined) await checkWritable(config.answers);
    const evaluation = await runEvaluation(config, context);
    if (config.answers !== undefined) await writeAnswers(config.answers, evaluation.answers);
    if (options.json === true) printJson(context, toJson(evaluation));
    else print(evaluation, context);
  });
}

async function runEvaluation(config: EvalConfig, context: CliContext): Promise<Evaluation> {
  const { signal } = context;
  const scorer = new Scorer(nameRewards(await Promise.all(config.rewards.map((reward) => loadReward(reward)))));
  const { rows, problems } = await loadConversations(config.dataset, { imageFolders: config.imageFolders, signal });
  for (const problem of problems) warn(context, `left out: ${describeProblem(problem)}`);
  scorer.checkRows(rows);
  return withModel(context, config, { signal }, async ({ model, processor }) => {
    const status = new StatusLine(context);
    try {
      return await evaluate(
        { model, processor, rows, scorer },
        {
          ...evaluateOptionsOf(config),
          step: 0,
          signal,
          onProgress: (fraction) => status.show(`${Math.round(fraction * 100)} % of ${rows.length} rows`),
        },
      );
    } finally {
      status.clear();
    }
  }).then((evaluation) => warnOf(evaluation, context));
}

function warnOf(evaluation: Evaluation, context: CliContext): Evaluation {
  for (const { row, message } of evaluation.failures.rows) warn(context, `left out: ${row.id}: ${message}`);
  for (const { reward, row, message } of evaluation.failures.rewards)
    warn(context, `reward ${reward}, row ${row}: ${message}`);
  return evaluation;
}

function toJson({ scores, metrics, answers }: Evaluation): unknown {
  return { rows: rowsOf(answers), ...scoresToFile(scores), metrics };
}

/** Rows that were answered, each once or several times. */
function rowsOf(answers: readonly EvaluatedAnswer[]): number {
  return answers.filter(({ sample }) => sample === 0).length;
}

function print({ scores, metrics, answers }: Evaluation, context: CliContext): void {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const table = [
    ["rows", String(rowsOf(answers))],
    ["mean reward", scores.reward.toFixed(3)],
    ...(metrics.eval_reward_best === undefined ? [] : [["  best of each row", metrics.eval_reward_best.toFixed(3)]]),
    ...Object.entries(metrics)
      .filter(([name]) => name.startsWith("eval_rewards/"))
      .map(([name, value]) => [`  ${name.slice("eval_rewards/".length).replace("/mean", "")}`, value.toFixed(3)]),
    ["right name", percent(scores.nameAccuracy)],
    ["right number", percent(scores.numberAccuracy)],
    ["right format", percent(scores.formatRate)],
    ["tokens per answer", (metrics["eval_completions/mean_length"] ?? 0).toFixed(1)],
  ];
  context.stdout.write(`${formatTable(table).join("\n")}\n`);
}

/** A wrong path is to be known before the model has answered everything. What the file holds stays until then. */
async function checkWritable(path: string): Promise<void> {
  try {
    await (await open(path, "a")).close();
  } catch (error) {
    throw fromSystem(error, "write the answers to", path);
  }
}

async function writeAnswers(path: string, answers: readonly EvaluatedAnswer[]): Promise<void> {
  const lines = answers.map((answer) => JSON.stringify(recordedAnswer(answer)));
  try {
    await writeFile(path, `${lines.join("\n")}\n`);
  } catch (error) {
    throw fromSystem(error, "write the answers to", path);
  }
}
