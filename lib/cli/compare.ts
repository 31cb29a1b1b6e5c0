import { join } from "node:path";
import type { Command } from "commander";
import { resolveModelSource } from "../adapters/index.js";
import { type CompareConfig, compareSchema, comparisonFlags } from "../config/compare-schema.js";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { listIds, type Row } from "../data/datasets/index.js";
import { fromSystem, usageError, VlmR1Error } from "../errors/index.js";
import {
  type Comparison,
  classesByField,
  compareRecords,
  type EvaluationRecord,
  readRecord,
  recordOf,
} from "../eval/index.js";
import { makeFolder } from "../files/index.js";
import { checkSeveralAnswers } from "../trainer/evaluation-sampling.js";
import { analysisToJson } from "./analysis-json.js";
import { type Compared, type ComparedModel, comparedOf, isAdapter } from "./compared.js";
import { comparisonLines } from "./comparison-text.js";
import type { CliContext } from "./context.js";
import { showFetching } from "./fetching.js";
import { printJson, StatusLine, warn } from "./output.js";
import { loadRows, loadScorer, refuseModelFlags, runEvaluation } from "./run-evaluation.js";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("compare")
    .description("two runs, models or files of answers side by side, row by row, or one run's before and after")
    .argument(
      "<first>",
      "a run's folder, a file of answers, or with --dataset a model, an adapter or a run's newest one",
    )
    .argument("[second]", "the same; left out: what a run's model answered before and after training")
    .option("--json", "print the comparison as JSON");
  addConfigFlags(command, compareSchema);
  command.addHelpText(
    "after",
    "\nExamples:\n  vlmr1-native compare runs/food\n  vlmr1-native compare runs/a runs/b --json\n" +
      "  vlmr1-native compare examples/food/starter runs/food --dataset examples/food/test-quick.json",
  );
  command.action(async (first: string, second: string | undefined, options: { json?: boolean }) => {
    const config = await readCommandConfig(command, compareSchema);
    checkSeveralAnswers(config);
    const both = await comparedOf(first, second, config);
    if (both.every(({ kind }) => kind === "record"))
      refuseModelFlags(command, comparisonFlags, "neither of the two is one");
    const comparison = await compare(both, config, context);
    if (options.json === true) printJson(context, analysisToJson(comparison));
    else context.stdout.write(`${comparisonLines(comparison, config).join("\n")}\n`);
  });
}

async function compare(both: [Compared, Compared], config: CompareConfig, context: CliContext): Promise<Comparison> {
  const { classField, seed, resamples, cluster } = config;
  if (classField !== undefined && config.dataset === undefined) {
    throw usageError("class_field is a field of the data set's rows, but there is no data set", "Give --dataset too.");
  }
  const evaluated = both.some(({ kind }) => kind === "model");
  const rows =
    config.dataset === undefined ? [] : await rowsOf({ ...config, dataset: config.dataset }, evaluated, context);
  const classOf = classField === undefined ? undefined : classesByField(rows, classField);
  const [first, second] = await records(both, rows, config, context);
  const labels: [string, string] = [both[0].label, both[1].label];
  const status = new StatusLine(context);
  status.show(`comparing ${first.answers.length} answers in ${resamples} resamples`);
  const comparison = await compareRecords(first, second, {
    ...{ labels, cluster, classOf, seed, resamples },
    signal: context.signal,
  }).finally(() => status.clear());
  for (const note of notesOf(comparison)) warn(context, note);
  return comparison;
}

/** Rows that only name classes need no pictures. */
function rowsOf(config: CompareConfig & { dataset: string }, evaluated: boolean, context: CliContext): Promise<Row[]> {
  return loadRows(evaluated ? config : { ...config, limit: undefined }, context, { checkImages: evaluated });
}

/** What can be wrong is looked at first, then models answer, one after the other: memory holds one. */
async function records(
  both: [Compared, Compared],
  rows: readonly Row[],
  config: CompareConfig,
  context: CliContext,
): Promise<[EvaluationRecord, EvaluationRecord]> {
  const found: (EvaluationRecord | undefined)[] = [];
  for (const one of both)
    found.push(one.kind === "record" ? await readRecord(one.path) : await findModel(one, context));
  const scorer = found.includes(undefined) ? await loadScorer(config, rows) : undefined;
  for (const [index, one] of both.entries()) {
    if (one.kind === "record" || scorer === undefined) continue;
    const answers = config.answers === undefined ? undefined : await answersPath(config.answers, index);
    const run = { model: one.options, config, rows, scorer, answers, resume: config.resume, name: one.label };
    found[index] = recordOf(await runEvaluation(run, context));
  }
  return found as [EvaluationRecord, EvaluationRecord];
}

/** Throws where the model or its adapter's base is not there, before anything is evaluated. */
async function findModel({ options }: ComparedModel, context: CliContext): Promise<undefined> {
  try {
    await showFetching(context, (fetching) => resolveModelSource(options, fetching));
  } catch (error) {
    // The message's own way out is of other commands' flags.
    if (!(error instanceof VlmR1Error) || error.code !== "ERR_MODEL" || !isAdapter(options.model)) throw error;
    throw new VlmR1Error(error.code, error.message, { hint: "Say which: --base-model BASE", cause: error });
  }
}

async function answersPath(folder: string, index: number): Promise<string> {
  try {
    await makeFolder(folder);
  } catch (error) {
    throw fromSystem(error, "make the folder of the answers", folder);
  }
  return join(folder, index === 0 ? "first.jsonl" : "second.jsonl");
}

function notesOf({ notes, labels, onlyFirst, onlySecond }: Comparison): string[] {
  const alone = (ids: readonly string[], label: string) =>
    ids.length === 0
      ? []
      : [`left out: ${ids.length} rows that only ${label} has: ${listIds(ids.map((id) => ({ id })))}`];
  return [...notes, ...alone(onlyFirst, labels[0]), ...alone(onlySecond, labels[1])];
}
