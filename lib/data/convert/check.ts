import { VlmR1Error } from "../../errors/index.js";
import type { Processor } from "../../processing/index.js";
import { loadConversations, type Row, type RowProblem } from "../datasets/index.js";
import { isRowError } from "../encode-rows.js";
import { mapBounded } from "../map-bounded.js";
import { type DataStatistics, dataStatistics } from "../statistics.js";
import { questionOf } from "../text/question.js";
import { type CheckedPicture, measureRow, type RowTokens } from "./measure-row.js";
import { type KnownPicture, PictureInspector } from "./pictures.js";
import { type Quantiles, quantiles } from "./quantiles.js";

export interface CheckOptions {
  /** Conversations JSON or JSONL, as `train` reads them. */
  files: string | readonly string[];
  imageFolders?: readonly string[] | undefined;
  /** Conversations that must share no picture with these, such as the test set's. */
  against?: string | undefined;
  /** Decode every picture whole. */
  checkPictures?: boolean | undefined;
  /** Counts tokens. */
  processor?: Processor | undefined;
  /** Most tokens of a prompt. */
  maxPromptTokens?: number | undefined;
  /** Written after every question. */
  promptSuffix?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Rows that are done, of all. */
  onRows?: ((done: number, all: number) => void) | undefined;
}

/** A row as training would see it. */
export interface CheckedRow {
  row: Row;
  pictures: CheckedPicture[];
  /** With a processor. */
  tokens?: RowTokens | undefined;
  /** Why it cannot be used. */
  error?: string | undefined;
}

export interface CheckResult {
  rows: CheckedRow[];
  /** Rows that could not be read. */
  problems: RowProblem[];
  /** Rows whose id another row had before, as they are called now. */
  renamed: { from: string; to: string }[];
  /** Ids of rows without an answer. */
  withoutAnswer: string[];
  /** Rows with the same pictures, question and answer as an earlier one. */
  duplicates: { id: string; of: string }[];
  /** Rows that share the content of a picture with `against`, and a row there that does. */
  leaks: { id: string; with: string }[];
  /** With a processor, of the rows that can be used. */
  tokens?:
    | { prompt: Quantiles; pictures: Quantiles; answer: Quantiles; width: Quantiles; height: Quantiles }
    | undefined;
  statistics: DataStatistics;
}

const WIDTH = 8;

/**
 * Reads a data set as `train` does, looks at every picture, and with a processor counts what each prompt takes. Throws
 * what the loader throws, as for a file in which not a single row is good.
 */
export async function checkData(options: CheckOptions): Promise<CheckResult> {
  const { imageFolders, signal, onRows } = options;
  const { rows, problems, renamed } = await loadConversations(options.files, { imageFolders, signal });
  const inspector = new PictureInspector(options.checkPictures === true);
  const keys = new Map<Row, string[]>();
  const checked = await mapBounded(rows, (row) => checkRow(row, inspector, keys, options), {
    width: WIDTH,
    signal,
    onDone: (done) => onRows?.(done, rows.length),
  });
  return {
    rows: checked,
    problems,
    renamed,
    withoutAnswer: rows.filter(({ solution }) => solution.trim() === "").map(({ id }) => id),
    duplicates: duplicatesOf(rows, keys),
    leaks: await leaksOf(rows, keys, inspector, options),
    tokens: options.processor === undefined ? undefined : summary(checked),
    statistics: dataStatistics(rows),
  };
}

/** Rows that training would leave out. */
export function unusableRows({ rows, problems }: CheckResult): number {
  return problems.length + rows.filter(({ error }) => error !== undefined).length;
}

async function checkRow(
  row: Row,
  inspector: PictureInspector,
  keys: Map<Row, string[]>,
  { processor, promptSuffix = "", maxPromptTokens = Number.POSITIVE_INFINITY }: CheckOptions,
): Promise<CheckedRow> {
  try {
    const known = await Promise.all(row.images.map((path) => inspector.look({ path })));
    keys.set(
      row,
      known.map(({ hash }) => hash),
    );
    if (processor === undefined) return { row, pictures: known.map(sizeOf) };
    const { pictures, tokens } = await measureRow(row, known, processor, promptSuffix);
    const over = tokens.prompt > maxPromptTokens;
    const message = `the prompt has ${tokens.prompt} tokens; with the completion the model has room for ${maxPromptTokens}`;
    return { row, pictures, tokens, ...(over && { error: message }) };
  } catch (error) {
    if (!isRowError(error)) throw error;
    return { row, pictures: [], error: error.message };
  }
}

function sizeOf({ width, height }: KnownPicture): CheckedPicture {
  return { width, height };
}

function duplicatesOf(rows: readonly Row[], keys: ReadonlyMap<Row, string[]>): CheckResult["duplicates"] {
  const seen = new Map<string, string>();
  return rows.flatMap((row) => {
    const pictures = keys.get(row);
    if (pictures === undefined) return [];
    const said = JSON.stringify([pictures, questionOf(row), row.messages.length, row.solution]);
    const of = seen.get(said);
    if (of === undefined) seen.set(said, row.id);
    return of === undefined ? [] : [{ id: row.id, of }];
  });
}

async function leaksOf(
  rows: readonly Row[],
  keys: ReadonlyMap<Row, string[]>,
  inspector: PictureInspector,
  { against, signal }: CheckOptions,
): Promise<CheckResult["leaks"]> {
  if (against === undefined) return [];
  const others = (await loadConversations(against, { signal })).rows;
  const owners = new Map<string, string>();
  await mapBounded(
    others,
    async (row) => {
      for (const hash of await contentOf(row, inspector)) if (!owners.has(hash)) owners.set(hash, row.id);
    },
    { width: 1, signal },
  );
  return rows.flatMap((row) => {
    const shared = keys.get(row)?.find((hash) => owners.has(hash));
    return shared === undefined ? [] : [{ id: row.id, with: owners.get(shared) as string }];
  });
}

/** What cannot be looked at shares nothing. */
async function contentOf(row: Row, inspector: PictureInspector): Promise<string[]> {
  try {
    return await Promise.all(row.images.map(async (path) => (await inspector.look({ path })).hash));
  } catch (error) {
    if (!(error instanceof VlmR1Error)) throw error;
    return [];
  }
}

function summary(rows: readonly CheckedRow[]): CheckResult["tokens"] {
  const counted = rows.flatMap(({ tokens }) => (tokens === undefined ? [] : [tokens]));
  const pictures = rows.flatMap((row) => row.pictures);
  return {
    prompt: quantiles(counted.map(({ prompt }) => prompt)),
    pictures: quantiles(counted.map((tokens) => tokens.pictures)),
    answer: quantiles(counted.map(({ answer }) => answer)),
    width: quantiles(pictures.map(({ resizedWidth }) => resizedWidth ?? 0)),
    height: quantiles(pictures.map(({ resizedHeight }) => resizedHeight ?? 0)),
  };
}
