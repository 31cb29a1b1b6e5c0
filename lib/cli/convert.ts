import type { Command } from "commander";
import { type ConvertConfig, conversionOf, convertSchema } from "../config/convert-schema.js";
import { addConfigFlags, readCommandConfig } from "../config/index.js";
import { type ConvertReport, type ConvertResult, convertData, type ProblemKind } from "../data/convert/index.js";
import { usageError, VlmR1Error } from "../errors/index.js";
import { formatTable } from "../report/format.js";
import type { CliContext } from "./context.js";
import { runCheck } from "./convert-check.js";
import { printJson, StatusLine, warn } from "./output.js";
import { statisticsLines } from "./statistics-table.js";

export function register(program: Command, context: CliContext): void {
  const command = program
    .command("convert")
    .description("make conversations of a CSV, LLaVA, VLM-R1, Parquet or folder data set; with --check, look at one")
    .argument("[input]", "file or folder, several as a.csv:b.csv")
    .option("--json", "print the report as JSON");
  addConfigFlags(command, convertSchema);
  command.addHelpText(
    "after",
    "\nExamples:\n" +
      "  vlmr1-native convert foods.csv --output data --test-split 0.2\n" +
      "  vlmr1-native convert table.csv --columns image=photo answer=label --questions dish-en --output data.jsonl\n" +
      "  vlmr1-native convert --check data/train.json --model Qwen/Qwen2.5-VL-3B-Instruct --against data/test.json",
  );
  command.action(async (input: string | undefined, options: { json?: boolean }) => {
    const config = await readCommandConfig(command, convertSchema);
    const data = inputOf(input, config);
    if (config.check) await runCheck(data, config, options.json === true, context);
    else await convert(data, config, options.json === true, context);
  });
}

function inputOf(argument: string | undefined, { input, check, against, model, rewards }: ConvertConfig): string {
  if (argument !== undefined && input !== undefined) throw usageError("the input is given twice");
  const data = argument ?? input;
  const example = check ? "convert --check data.json" : "convert foods.csv --output data";
  if (data === undefined) throw usageError("expected a file or folder", `For example: vlmr1-native ${example}`);
  const idle = against !== undefined ? "--against" : model !== undefined ? "--model" : rewards && "--rewards";
  if (!check && idle !== undefined) throw usageError(`${idle} is for --check, which is not given`);
  return data;
}

async function convert(input: string, config: ConvertConfig, json: boolean, context: CliContext): Promise<void> {
  const { output, strict } = config;
  if (output === undefined) {
    throw usageError("expected --output", "A file that ends in .json or .jsonl, or a folder: --output data");
  }
  const status = new StatusLine(context);
  let result: ConvertResult;
  try {
    result = await convertData({
      ...conversionOf(config),
      input,
      output,
      signal: context.signal,
      onRecords: (records) => status.show(`${records} rows`),
      onNotice: (message) => {
        status.clear();
        warn(context, message);
      },
    });
  } finally {
    status.clear();
  }
  const { report, paths } = result;
  if (json) printJson(context, report);
  else context.stdout.write(`${reportLines(report).join("\n")}\n`);
  tellProblems(report, paths.report, context);
  if (!strict || report.problems.length === 0) return;
  throw new VlmR1Error("ERR_DATA", `${report.problems.length} rows are left out, and --strict is given`, {
    hint: `${paths.report} lists them all.`,
  });
}

/** Why rows are left out, in words. */
const KINDS: Readonly<Record<ProblemKind, string>> = {
  malformed: "cannot be read",
  missing_field: "a field is empty",
  missing_picture: "a picture is missing",
  bad_picture: "a picture cannot be used",
  bad_conversation: "no conversation that can be used",
  duplicate: "the same as an earlier one",
  leak: "shared with the test set",
};

function reportLines({ records, written, problems, counts, statistics }: ConvertReport): string[] {
  const left = Object.entries(counts).map(([kind, count]) => [`  ${KINDS[kind as ProblemKind]}`, String(count)]);
  const table = [
    ["rows read", String(records)],
    ...(problems.length === 0 ? [] : [["rows left out", String(problems.length)], ...left]),
    ...written.map(({ file, rows }) => [`rows in ${file}`, String(rows)]),
  ];
  return [...formatTable(table), "", ...statisticsLines(statistics)];
}

/** Problems that are named on the screen. */
const SHOWN = 5;

function tellProblems({ problems }: ConvertReport, report: string, context: CliContext): void {
  for (const { file, place, id, message } of problems.slice(0, SHOWN)) {
    warn(context, `left out: ${file}, ${place}${id === undefined ? "" : ` (id ${JSON.stringify(id)})`}: ${message}`);
  }
  if (problems.length > SHOWN) warn(context, `${problems.length - SHOWN} more are left out; all are in ${report}`);
}
