import { isAbsolute, join } from "node:path";
import { conversionSchema } from "../../config/convert-schema.js";
import { parseConfig } from "../../config/index.js";
import { throwIfAborted, VlmR1Error } from "../../errors/index.js";
import { replaceJson } from "../../files/index.js";
import { splitPaths, withUniqueIds } from "../datasets/index.js";
import { type DataStatistics, dataStatistics } from "../statistics.js";
import { parseColumns, profileOf } from "./columns.js";
import { type Collected, type ConvertedRow, convertSource } from "./convert-source.js";
import { checkEncoding } from "./encoding.js";
import { openSources } from "./open-source.js";
import { claimOutputs, type OutputPaths, outputPaths, writeRows } from "./outputs.js";
import { PictureInspector } from "./pictures.js";
import { fieldNames, type RecipeOptions, recipeFor } from "./recipe.js";
import type { ConvertProblem, ProblemKind, Source, SourceFormat } from "./source.js";
import { splitByColumn, splitRows } from "./split.js";

export interface ConvertOptions extends RecipeOptions {
  /** Files and folders, also as `a.csv:b.csv`. */
  input: string | readonly string[];
  /** A file that ends in .json or .jsonl, or a folder. */
  output: string;
  /** "auto" unless given: by the input's ending. */
  format?: SourceFormat | "auto" | undefined;
  /** `role=column`: image, question, answer, think, id. */
  columns?: readonly string[] | undefined;
  /** Folder that relative picture paths start from, one for all inputs or one each; default: each input's own. */
  imageFolders?: readonly string[] | undefined;
  encoding?: string | undefined;
  delimiter?: string | undefined;
  /** Decode every picture whole. */
  checkPictures?: boolean | undefined;
  /** Share of the rows for the test set. */
  testSplit?: number | undefined;
  splitColumn?: string | undefined;
  stratify?: string | undefined;
  group?: string | undefined;
  /** For pictures that come as bytes; relative to the output's folder; "images" unless given. */
  pictureFolder?: string | undefined;
  overwriteOutput?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Rows of the input that are done. */
  onRecords?: ((records: number) => void) | undefined;
  onNotice?: ((message: string) => void) | undefined;
}

/** What `convert-report.json` holds. */
export interface ConvertReport {
  sources: { file: string; format: SourceFormat; columns: readonly string[]; notices: readonly string[] }[];
  seed: number;
  /** Rows that were read, and rows that were made of them. */
  records: number;
  rows: number;
  written: { file: string; rows: number }[];
  /** Rows left out, by why. */
  counts: Partial<Record<ProblemKind, number>>;
  problems: ConvertProblem[];
  statistics: DataStatistics;
}

export interface ConvertResult {
  report: ConvertReport;
  paths: OutputPaths;
}

/**
 * Makes conversations of a data set in another form and writes them, with a report beside them. Every row that is left
 * out is in the report. The same input, options and seed give the same bytes. Throws `ERR_DATA` where not a single row
 * can be used; then the report alone is written.
 */
export async function convertData(options: ConvertOptions): Promise<ConvertResult> {
  checkOptions(options);
  const inputs = splitPaths(options.input);
  const { testSplit, splitColumn, signal, seed = 0 } = options;
  const paths = outputPaths(options.output, testSplit !== undefined || splitColumn !== undefined);
  claimOutputs(paths, inputs, options.overwriteOutput === true);
  const inspector = new PictureInspector(options.checkPictures === true);
  const all: Collected = { inspector, rows: [], problems: [], seen: new Map(), records: 0 };
  const sources = await readAll(inputs, options, paths, all);
  const rows = withOwnIds(all.rows);
  const { train, test, problems } = rows.length === 0 ? NOTHING : split(rows, options);
  throwIfAborted(signal);
  const written = rows.length === 0 ? [] : await writeSets(paths, train, test);
  const left = [...all.problems, ...problems];
  const report: ConvertReport = {
    sources: sources.map(({ file, format, columns, notices }) => ({ file, format, columns, notices })),
    seed,
    records: all.records,
    rows: train.length + test.length,
    written,
    counts: countKinds(left),
    problems: left,
    statistics: dataStatistics([...train, ...test].map(({ row }) => row)),
  };
  await replaceJson(paths.report, report, { what: "write the report" });
  if (rows.length === 0) throw noRow(inputs, left, paths.report);
  return { report, paths };
}

async function writeSets(
  paths: OutputPaths,
  train: readonly ConvertedRow[],
  test: readonly ConvertedRow[],
): Promise<ConvertReport["written"]> {
  await writeRows(paths.train, train);
  const written = [{ file: paths.train, rows: train.length }];
  if (paths.test === undefined) return written;
  await writeRows(paths.test, test);
  return [...written, { file: paths.test, rows: test.length }];
}

/** Throws `ERR_CONFIG` for options that do not fit the schema, or one another. */
function checkOptions({ input, signal, onRecords, onNotice, ...options }: ConvertOptions): void {
  const { testSplit, splitColumn, stratify, group, encoding } = parseConfig(conversionSchema, options);
  if (encoding !== undefined) checkEncoding(encoding);
  if (testSplit !== undefined && splitColumn !== undefined) {
    throw new VlmR1Error("ERR_CONFIG", "test_split and split_column are both given; give one of them");
  }
  const needs = stratify !== undefined ? "stratify" : group !== undefined ? "group" : undefined;
  if (needs === undefined || testSplit !== undefined) return;
  throw new VlmR1Error("ERR_CONFIG", `${needs}: says how rows are split, but test_split is not given`);
}

async function readAll(
  inputs: readonly string[],
  options: ConvertOptions,
  paths: OutputPaths,
  all: Collected,
): Promise<Source[]> {
  const { encoding, delimiter, signal, onRecords, onNotice, format = "auto", pictureFolder = "images" } = options;
  if (inputs.length === 0) throw new VlmR1Error("ERR_CONFIG", "expected at least one input, got none");
  const folders = foldersFor(inputs, options.imageFolders);
  const given = parseColumns(options.columns ?? []);
  const sources: Source[] = [];
  for (const [index, input] of inputs.entries()) {
    for (const source of await openSources(input, { format, encoding, delimiter, signal })) {
      for (const notice of source.notices) onNotice?.(notice);
      const profile = profileOf(source, given);
      checkSplitColumns(options, fieldNames(source, profile), source.file);
      const recipe = await recipeFor(source, profile, options);
      const job = {
        source,
        profile,
        recipe,
        folder: folders[index] ?? source.folder,
        pictureFolder: isAbsolute(pictureFolder) ? pictureFolder : join(paths.folder, pictureFolder),
      };
      await convertSource(job, all, { signal, onRecords });
      sources.push(source);
    }
  }
  return sources;
}

function foldersFor(inputs: readonly string[], given: readonly string[] | undefined): readonly (string | undefined)[] {
  const folders = given === undefined ? [] : splitPaths(given);
  if (folders.length === 0) return [];
  if (folders.length === 1) return inputs.map(() => folders[0]);
  if (folders.length === inputs.length) return folders;
  throw new VlmR1Error("ERR_CONFIG", `image_folders: ${inputs.length} inputs, but ${folders.length} folders`, {
    hint: "Give one folder per input, or one for all.",
  });
}

function checkSplitColumns(options: ConvertOptions, fields: readonly string[], file: string): void {
  for (const [option, column] of [
    ["split_column", options.splitColumn],
    ["stratify", options.stratify],
    ["group", options.group],
  ] as const) {
    if (column === undefined || fields.includes(column)) continue;
    throw new VlmR1Error("ERR_CONFIG", `${option}: ${file} has no column "${column}"`, {
      hint: `Its columns are ${fields.join(", ")}.`,
    });
  }
}

function withOwnIds(rows: readonly ConvertedRow[]): ConvertedRow[] {
  const { rows: unique } = withUniqueIds(rows.map(({ row }) => row));
  return rows.map((converted, index) => ({ ...converted, row: unique[index] ?? converted.row }));
}

interface Split {
  train: ConvertedRow[];
  test: ConvertedRow[];
  /** Rows that cannot be on either side. */
  problems: ConvertProblem[];
}

const NOTHING: Split = { train: [], test: [], problems: [] };

function split(rows: readonly ConvertedRow[], options: ConvertOptions): Split {
  const { testSplit, splitColumn, stratify, group, seed = 0 } = options;
  const text = ({ texts }: ConvertedRow, column: string | undefined) =>
    column === undefined ? "" : (texts[column] ?? "");
  if (splitColumn !== undefined) {
    const sets = rows.map((row) => ({ keys: row.keys, set: text(row, splitColumn) }));
    const { test, leaked } = splitByColumn(sets, splitColumn);
    return {
      ...divide(rows, new Set(test), new Set(leaked)),
      problems: leaked.map((row) => leakOf(rows[row] as ConvertedRow)),
    };
  }
  if (testSplit === undefined) return { train: [...rows], test: [], problems: [] };
  const own = (row: ConvertedRow) => (text(row, group) === "" ? [] : [`group:${text(row, group)}`]);
  const keyed = rows.map((row) => ({ keys: [...row.keys, ...own(row)], stratum: text(row, stratify) }));
  return { ...divide(rows, new Set(splitRows(keyed, { share: testSplit, seed })), new Set()), problems: [] };
}

function divide(rows: readonly ConvertedRow[], test: ReadonlySet<number>, out: ReadonlySet<number>) {
  return {
    train: rows.filter((_, row) => !test.has(row) && !out.has(row)),
    test: rows.filter((_, row) => test.has(row)),
  };
}

function leakOf({ file, place, row }: ConvertedRow): ConvertProblem {
  return { kind: "leak", file, place, id: row.id, message: "its picture or text is in the test set too" };
}

function countKinds(problems: readonly ConvertProblem[]): ConvertReport["counts"] {
  const counts: ConvertReport["counts"] = {};
  for (const { kind } of problems) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** Problems that an error names. */
const SHOWN = 5;

function noRow(inputs: readonly string[], problems: readonly ConvertProblem[], report: string): VlmR1Error {
  const shown = problems.slice(0, SHOWN).map(({ file, place, message }) => `  ${file}, ${place}: ${message}`);
  const more = problems.length > SHOWN ? [`  … and ${problems.length - SHOWN} more, all in ${report}`] : [];
  const what = problems.length === 0 ? "there are no rows" : `none of ${problems.length} rows can be used`;
  return new VlmR1Error("ERR_DATA", [`${inputs.join(", ")}: ${what}`, ...shown, ...more].join("\n"), {
    hint: problems.some(({ kind }) => kind === "missing_picture")
      ? "Relative paths of pictures begin at the data file's folder; --image-folders names another one, --columns image=… another column."
      : undefined,
  });
}
