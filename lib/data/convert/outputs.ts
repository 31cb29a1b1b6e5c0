import { existsSync } from "node:fs";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { VlmR1Error } from "../../errors/index.js";
import { replaceFile } from "../../files/index.js";
import type { ConvertedRow } from "./convert-source.js";

/** Where a conversion writes. */
export interface OutputPaths {
  /** All rows, or those to train on. */
  train: string;
  /** Where rows are split. */
  test: string | undefined;
  report: string;
  /** Folder of all of it, where relative picture paths start. */
  folder: string;
}

const REPORT = "convert-report.json";

/** Finds the files' names. Throws `ERR_CONFIG` for an ending that is neither .json nor .jsonl. */
export function outputPaths(output: string, split: boolean): OutputPaths {
  const ending = extname(output).toLowerCase();
  if (ending === "") {
    const folder = resolve(output);
    const train = join(folder, split ? "train.json" : "data.json");
    return { train, test: split ? join(folder, "test.json") : undefined, report: join(folder, REPORT), folder };
  }
  if (ending !== ".json" && ending !== ".jsonl") {
    throw new VlmR1Error("ERR_CONFIG", `output: expected a file ending in .json or .jsonl, or a folder, got ${output}`);
  }
  const train = resolve(output);
  const folder = dirname(train);
  return {
    train,
    test: split ? join(folder, testName(basename(train))) : undefined,
    report: join(folder, REPORT),
    folder,
  };
}

/** "test.json" beside "train.json", "dishes-test.jsonl" beside "dishes.jsonl". */
function testName(train: string): string {
  const ending = extname(train);
  const stem = train.slice(0, -ending.length);
  return /train/i.test(stem) ? `${stem.replace(/train/i, "test")}${ending}` : `${stem}-test${ending}`;
}

/**
 * Throws `ERR_STATE` where a file of rows is there, and `ERR_CONFIG` where one is the input. A report is replaced: it
 * tells of the last conversion into its folder.
 */
export function claimOutputs(paths: OutputPaths, inputs: readonly string[], overwrite: boolean): void {
  const targets = [paths.train, paths.test].filter((path) => path !== undefined);
  const read = [...targets, paths.report].find((path) => inputs.some((input) => resolve(input) === path));
  if (read !== undefined) throw new VlmR1Error("ERR_CONFIG", `output: ${read} is the input itself`);
  const there = targets.find((path) => existsSync(path));
  if (there === undefined || overwrite) return;
  throw new VlmR1Error("ERR_STATE", `${there} is there already`, {
    hint: "Choose another --output, or replace it with --overwrite-output.",
  });
}

/** Rows that are written at a time. */
const PART = 1000;

/** Writes conversations: an array with a row on each line, or JSON lines by the file's ending. */
export async function writeRows(path: string, rows: readonly ConvertedRow[]): Promise<void> {
  const isLines = path.toLowerCase().endsWith(".jsonl");
  const folder = dirname(path);
  await replaceFile(path, { what: "write the conversations" }, async (file) => {
    if (!isLines) await file.write("[\n");
    for (let start = 0; start < rows.length; start += PART) {
      const part = rows.slice(start, start + PART).map((row) => JSON.stringify(outputRow(row, folder)));
      const last = start + PART >= rows.length;
      await file.write(part.join(isLines ? "\n" : ",\n") + (isLines || last ? "\n" : ",\n"));
    }
    if (!isLines) await file.write("]\n");
  });
}

function outputRow({ row, conversations, kept }: ConvertedRow, folder: string): Record<string, unknown> {
  const images = row.images.map((path) => relative(folder, path).split(sep).join("/"));
  const image = images.length === 0 ? {} : { image: images.length === 1 ? images[0] : images };
  return { id: row.id, ...image, conversations, ...kept };
}
