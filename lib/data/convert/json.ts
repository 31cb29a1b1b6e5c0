import { dirname, resolve } from "node:path";
import { VlmR1Error } from "../../errors/index.js";
import { linesIn } from "../../files/index.js";
import { decodeFile, detectEncoding } from "./encoding.js";
import { type Source, type SourceFormat, type SourceItem, shown } from "./source.js";

export interface JsonOptions {
  encoding?: string | undefined;
  /** How the source is called in the report; by its rows unless given. */
  format?: SourceFormat | undefined;
  signal?: AbortSignal | undefined;
}

/** Rows that are asked for the names of columns: not every row has all. */
const LOOKED = 100;

/**
 * Opens a JSON array or JSON lines: conversations as LLaVA, VLM-R1 and this package have them, or rows of columns.
 * Lines are read one at a time, an array at once. Throws `ERR_DATA` for what is neither.
 */
export async function openJson(path: string, options: JsonOptions = {}): Promise<Source> {
  const { signal } = options;
  const encoding = options.encoding ?? (await detectEncoding(path, signal));
  const isArray = (await firstCharacter(path, encoding, signal)) === "[";
  const values = isArray ? await arrayOf(path, encoding, signal) : undefined;
  const read = (_: ReadonlySet<string>, ownSignal?: AbortSignal) =>
    values === undefined ? jsonLines(decodeFile(path, encoding, ownSignal)) : arrayItems(values);
  const columns = await columnsOf(read(new Set(), signal), path);
  const format = options.format ?? (isArray ? "llava" : "vlm-r1");
  return { file: path, format, columns, folder: dirname(resolve(path)), notices: [], read };
}

async function firstCharacter(path: string, encoding: string, signal: AbortSignal | undefined): Promise<string> {
  for await (const text of decodeFile(path, encoding, signal)) {
    const start = text.trimStart();
    if (start !== "") return start[0] as string;
  }
  throw new VlmR1Error("ERR_DATA", `${path}: expected rows, got an empty file`);
}

async function arrayOf(path: string, encoding: string, signal: AbortSignal | undefined): Promise<unknown[]> {
  const pieces: string[] = [];
  for await (const text of decodeFile(path, encoding, signal)) pieces.push(text);
  try {
    return JSON.parse(pieces.join("")) as unknown[];
  } catch (cause) {
    const tooLong = cause instanceof RangeError;
    throw new VlmR1Error(
      "ERR_DATA",
      `${path}: ${tooLong ? "too long to read at once" : `not valid JSON: ${(cause as Error).message}`}`,
      {
        hint: tooLong ? "Write it as JSON lines, an object on each line: these are read one by one." : undefined,
        cause,
      },
    );
  }
}

async function columnsOf(items: AsyncIterable<SourceItem>, path: string): Promise<string[]> {
  const columns = new Set<string>();
  let problem = "there are no rows";
  let seen = 0;
  for await (const item of items) {
    if ("problem" in item) problem = `${item.problem.place}: ${item.problem.message}`;
    else for (const name of Object.keys(item.record.fields)) columns.add(name);
    seen += 1;
    if (seen >= LOOKED && columns.size > 0) break;
  }
  if (columns.size > 0) return [...columns];
  throw new VlmR1Error("ERR_DATA", `${path}: not a single row is an object; last: ${problem}`);
}

async function* arrayItems(values: readonly unknown[]): AsyncGenerator<SourceItem> {
  for (const [index, value] of values.entries()) yield itemOf(value, `row ${index + 1}`);
}

async function* jsonLines(texts: AsyncIterable<string>): AsyncGenerator<SourceItem> {
  let number = 0;
  for await (const line of linesIn(texts)) {
    number += 1;
    if (line.trim() !== "") yield lineItem(line, `line ${number}`);
  }
}

function lineItem(line: string, place: string): SourceItem {
  try {
    return itemOf(JSON.parse(line), place);
  } catch (error) {
    return { problem: { kind: "malformed", place, message: `not valid JSON: ${(error as Error).message}` } };
  }
}

function itemOf(value: unknown, place: string): SourceItem {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return { record: { place, fields: value as Record<string, unknown> } };
  }
  const message = `expected an object, got ${shown(value)}`;
  return { problem: { kind: "malformed", place, message } };
}
