import type { Command } from "commander";
import { type AnswersConfig, answersSchema, type EvalConfig, evalSchema } from "../config/eval-schema.js";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import type { Row } from "../data/datasets/index.js";
import { usageError } from "../errors/index.js";
import {
  byClass,
  type ClassOf,
  type ClassScores,
  type ConfusionCount,
  classesByField,
  confusion,
  type EvaluationRecord,
  type NumberCalibration,
  numberCalibration,
  readRecord,
  recordOf,
  scoresOf,
} from "../eval/index.js";
import { formatPercent, formatTable } from "../report/format.js";
import { checkSeveralAnswers } from "../trainer/evaluation-sampling.js";
import { analysisToJson } from "./analysis-json.js";
import { classLines, confusionLines, numberLines } from "./analysis-text.js";
import type { CliContext } from "./context.js";
import { printJson } from "./output.js";
import { loadRows, loadScorer, refuseModelFlags, runEvaluation } from "./run-evaluation.js";
import { scoresToFile } from "./summary.js";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("eval")
    .description("answer a data set, greedily unless told otherwise, and score the answers")
    .argument("[answers]", "in place of a model: answers that --answers wrote, or a run's before.json or after.json")
    .option("--json", "print the scores and all tables as JSON");
  addConfigFlags(command, evalSchema);
  command.addHelpText(
    "after",
    "\nExamples:\n  vlmr1-native eval --model examples/food/starter --dataset examples/food/test-quick.json --details\n" +
      "  vlmr1-native eval runs/food/after.json --details",
  );
  command.action(async (file: string | undefined, options: { json?: boolean }) => {
    const analysed = file === undefined ? await ofModel(command, context) : await ofFile(file, command, context);
    if (options.json === true) printJson(context, toJson(analysed));
    else print(analysed, context);
  });
}

interface Analysed {
  record: EvaluationRecord;
  classes: ClassScores[];
  counts: ConfusionCount[];
  numbers: NumberCalibration | undefined;
  config: Pick<EvalConfig, "details" | "top">;
}

async function ofModel(command: Command, context: CliContext): Promise<Analysed> {
  const config = await readCommandConfig(command, evalSchema);
  checkSeveralAnswers(config);
  const rows = await loadRows(config, context);
  const scorer = await loadScorer(config, rows);
  // A wrong field is to be known before the model has answered everything.
  const classOf = classesOf(config, rows);
  const { answers, resume } = config;
  const evaluation = await runEvaluation({ model: config, config, rows, scorer, answers, resume }, context);
  return analyse(recordOf(evaluation), config, classOf);
}

/** Answers that are there already. */
async function ofFile(file: string, command: Command, context: CliContext): Promise<Analysed> {
  refuseModelFlags(command, Object.keys(answersSchema.shape), `the answers are those in ${file}`);
  const config: AnswersConfig = await readCommandConfig(command, answersSchema);
  const { dataset, imageFolders, classField } = config;
  if (classField !== undefined && dataset === undefined) {
    throw usageError("class_field is a field of the data set's rows, but there is no data set", "Give --dataset too.");
  }
  const record = await readRecord(file);
  const rows = dataset === undefined ? [] : await loadRows({ dataset, imageFolders }, context, { checkImages: false });
  return analyse(record, config, classesOf(config, rows));
}

/** Undefined: by the expected names. */
function classesOf({ classField }: AnswersConfig, rows: readonly Row[]): ClassOf | undefined {
  return classField === undefined ? undefined : classesByField(rows, classField);
}

function analyse(record: EvaluationRecord, config: Analysed["config"], classOf: ClassOf | undefined): Analysed {
  const { answers } = record;
  return {
    record,
    classes: byClass(answers, classOf),
    counts: confusion(answers),
    numbers: numberCalibration(answers),
    config,
  };
}

function toJson({ record, classes, counts, numbers }: Analysed): unknown {
  return {
    rows: rowsOf(record),
    ...scoresToFile(scoresOf(record.answers)),
    metrics: record.metrics,
    classes: analysisToJson(classes),
    confusion: analysisToJson(counts),
    numbers: analysisToJson(numbers ?? null),
  };
}

/** Rows that were answered, each once or several times. */
function rowsOf({ answers }: EvaluationRecord): number {
  return new Set(answers.map(({ id }) => id)).size;
}

function print(analysed: Analysed, context: CliContext): void {
  const { classes, counts, numbers, config } = analysed;
  const details = [
    ["", ...classLines(classes, config.top)],
    ["", ...confusionLines(counts, config.top)],
    ...(numbers === undefined ? [] : [["", ...numberLines(numbers)]]),
  ];
  const lines = [...scoreLines(analysed.record), ...(config.details ? details.flat() : [])];
  context.stdout.write(`${lines.join("\n")}\n`);
}

function scoreLines(record: EvaluationRecord): string[] {
  const { metrics, answers } = record;
  const scores = scoresOf(answers);
  const fixed = (value: number | null | undefined, digits: number) =>
    value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits);
  return formatTable([
    ["rows", String(rowsOf(record))],
    ["mean reward", fixed(scores.reward, 3)],
    ...(metrics.eval_reward_best === undefined ? [] : [["  best of each row", fixed(metrics.eval_reward_best, 3)]]),
    ...Object.entries(metrics).flatMap(([name, value]) => {
      const reward = /^eval_rewards\/(.+)\/mean$/s.exec(name)?.[1];
      return reward === undefined ? [] : [[`  ${reward}`, fixed(value, 3)]];
    }),
    ["right name", formatPercent(scores.nameAccuracy)],
    ["right number", formatPercent(scores.numberAccuracy)],
    ["right format", formatPercent(scores.formatRate)],
    ["tokens per answer", fixed(metrics["eval_completions/mean_length"], 1)],
  ]);
}
