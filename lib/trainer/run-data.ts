import type { RunConfig } from "../config/train-schema.js";
import {
  contentKeys,
  describeProblem,
  type FileRows,
  keepRows,
  linkedRows,
  listIds,
  loadConversations,
  type Row,
  splitPaths,
  withUniqueIds,
} from "../data/datasets/index.js";
import { VlmR1Error } from "../errors/index.js";
import { checkMix } from "./data-order.js";
import { holdOut } from "./hold-out.js";
import type { ResolvedOptions } from "./options.js";

/** The rows of a run; those that are given in code count as one file. */
export interface RunData extends FileRows {
  /** Undefined where nothing is held out. */
  evalRows: readonly Row[] | undefined;
}

export interface OpenDataOptions {
  warn: (message: string) => void;
  signal: AbortSignal | undefined;
}

/**
 * Reads the training and the held-out rows, or splits the latter off the former. Both have unique ids. Throws
 * `ERR_DATA` where there is no row for one of the two.
 */
export async function openData(options: ResolvedOptions, { warn, signal }: OpenDataOptions): Promise<RunData> {
  const { dataset, imageFolders, evalDataset, evalImageFolders, valSplitRatio, seed } = options.plan.config;
  const load = (files: string, folders: string[] | undefined, given: readonly Row[] | undefined) =>
    given === undefined ? fromFiles(files, folders, { warn, signal }) : fromCode(given, warn);
  const data = await load(dataset, imageFolders, options.rows);
  if (valSplitRatio > 0) return splitOff(data, { ratio: valSplitRatio, seed }, { warn, signal });
  if (evalDataset === undefined) return { ...data, evalRows: undefined };
  const { rows: evalRows } = await load(evalDataset, evalImageFolders, options.evalRows);
  await warnOfLeak(data.rows, evalRows, { warn, signal });
  return { ...data, evalRows };
}

/** Throws `ERR_CONFIG` for options of the data that contradict each other. `rows`: those that code gives. */
export function checkDataOptions(config: RunConfig, rows: readonly Row[] | undefined): void {
  const { dataset, evalDataset, valSplitRatio, datasetWeights: weights, curriculum } = config;
  if (valSplitRatio > 0 && evalDataset !== undefined) {
    throw new VlmR1Error("ERR_CONFIG", "eval_dataset and val_split_ratio are both given", {
      hint: "The held-out rows come from a data set of their own or from the training data: give one of the two.",
    });
  }
  if (rows === undefined) {
    const files = splitPaths(dataset).length;
    checkMix(files, { weights, curriculum });
    if (!curriculum || files > 1) return;
    throw new VlmR1Error("ERR_CONFIG", "curriculum: expected several data files, as in easy.json:hard.json, got one", {
      hint: "To take the rows of one file in their order, set shuffle_dataset to false.",
    });
  }
  const needsFiles = weights !== undefined ? "dataset_weights" : curriculum ? "curriculum" : undefined;
  if (needsFiles === undefined) return;
  throw new VlmR1Error("ERR_CONFIG", `${needsFiles}: expected a data set of files, got rows`, {
    hint: "It says how data files share an epoch; rows that are given in code are one file.",
  });
}

async function fromFiles(
  paths: string,
  imageFolders: string[] | undefined,
  { warn, signal }: OpenDataOptions,
): Promise<FileRows> {
  const { rows, files, problems, renamed } = await loadConversations(paths, { imageFolders, signal });
  for (const problem of problems) warn(`left out: ${describeProblem(problem)}`);
  warnOfRenamed(renamed, warn);
  return { rows, files };
}

function fromCode(given: readonly Row[], warn: (message: string) => void): FileRows {
  const { rows, renamed } = withUniqueIds(given);
  warnOfRenamed(renamed, warn);
  return { rows, files: [rows.length] };
}

function warnOfRenamed(renamed: readonly { from: string; to: string }[], warn: (message: string) => void): void {
  const [first] = renamed;
  if (first === undefined) return;
  const many = renamed.length === 1 ? "1 row has" : `${renamed.length} rows have`;
  warn(`${many} an id that another row has, and got one of their own: ${first.from} is now ${first.to} …`);
}

/** Held out: about `ratio` of the rows. */
async function splitOff(
  data: FileRows,
  { ratio, seed }: { ratio: number; seed: number },
  { warn, signal }: OpenDataOptions,
): Promise<RunData> {
  const { rows, files } = data;
  const groups = linkedRows(await contentKeys(rows, signal));
  const held = new Set(holdOut({ groups, files, ratio, seed }));
  const wanted = rows.length * ratio;
  // One row more or less is rounding.
  if (Math.abs(held.size - wanted) > Math.max(1, wanted / 2)) {
    warn(
      `val_split_ratio: ${held.size} of ${rows.length} rows are held out, where ${Math.round(wanted)} are the share: ` +
        "rows with the same picture or question stay together",
    );
  }
  return { ...keepRows(data, (row) => !held.has(row)), evalRows: rows.filter((_, row) => held.has(row)) };
}

/** Scores on what was learnt by heart say nothing; whether that is meant, only the user knows. */
async function warnOfLeak(
  rows: readonly Row[],
  evalRows: readonly Row[],
  { warn, signal }: OpenDataOptions,
): Promise<void> {
  const learnt = new Set((await contentKeys(rows, signal)).flat());
  const keys = await contentKeys(evalRows, signal);
  const leaked = evalRows.filter((_, row) => keys[row]?.some((key) => learnt.has(key)));
  if (leaked.length === 0) return;
  warn(
    `${leaked.length} of ${evalRows.length} held-out rows have a picture of the training data, or without pictures ` +
      `its very question, so that their scores say little about new ones: ${listIds(leaked)}`,
  );
}
