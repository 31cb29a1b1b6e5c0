import { dirname, resolve } from "node:path";
import { pipeline, Readable } from "node:stream";
import { CsvError, parse } from "csv-parse";
import { throwIfAborted, VlmR1Error } from "../../errors/index.js";
import { decodeFile, detectEncoding } from "./encoding.js";
import type { Source, SourceItem } from "./source.js";

export interface CsvOptions {
  /** Default: as the file's bytes say. */
  encoding?: string | undefined;
  /** Default: the one of `,` `;` tab and `|` that the header has most of. */
  delimiter?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** How a file writes its rows. */
interface Layout {
  encoding: string;
  delimiter: string;
  /** Ends of lines. */
  ends: readonly string[];
  /** Line of the header: spreadsheets write `sep=;` above it. */
  from: number;
}

interface Line {
  cells: string[];
  /** Of the file, from 1, where the row begins. */
  line: number;
}

/** Characters: a row that is longer is a quote that was never closed. */
const LONGEST_ROW = 1 << 24;
const HEAD = 1 << 16;
const DELIMITERS = [",", ";", "\t", "|"];

/** Opens a CSV file and reads its header. Throws `ERR_DATA` where it has none. */
export async function openCsv(path: string, options: CsvOptions = {}): Promise<Source> {
  const { signal } = options;
  const encoding = options.encoding ?? (await detectEncoding(path, signal));
  const layout = { encoding, ...layoutOf(await headOf(path, encoding, signal), options.delimiter) };
  const columns = await headerOf(readLines(path, layout, signal), path);
  const guessed = options.encoding === undefined && encoding !== "utf-8";
  const notices = guessed ? [`${path} is read as ${encoding.toUpperCase()}; --encoding says otherwise`] : [];
  const read = (_: ReadonlySet<string>, ownSignal?: AbortSignal) =>
    readRecords(readLines(path, layout, ownSignal), columns);
  return { file: path, format: "csv", columns, folder: dirname(resolve(path)), notices, read };
}

/** By the beginning of a file. Lines that end in one way and in another are read, as files have them that were joined. */
function layoutOf(head: string, given: string | undefined): Omit<Layout, "encoding"> {
  const said = /^"?sep=(.)"?(?:\r\n|\n|\r)/i.exec(head);
  return {
    delimiter: given ?? said?.[1] ?? detectDelimiter(head),
    ends: head.includes("\n") ? ["\r\n", "\n"] : ["\r\n", "\n", "\r"],
    from: said === null ? 1 : 2,
  };
}

/** The delimiter that stands most often in the header, quotes aside. */
export function detectDelimiter(head: string): string {
  const header =
    head
      .replaceAll(/"(?:[^"]|"")*"/g, "")
      .split(/\r?\n|\r/)
      .find((line) => line.trim() !== "") ?? "";
  const counts = DELIMITERS.map((delimiter) => header.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))] as string;
}

async function headOf(path: string, encoding: string, signal: AbortSignal | undefined): Promise<string> {
  let head = "";
  for await (const text of decodeFile(path, encoding, signal)) {
    head += text;
    if (head.length >= HEAD) break;
  }
  return head;
}

async function headerOf(lines: AsyncGenerator<Line>, path: string): Promise<string[]> {
  const first = await lines.next();
  await lines.return(undefined);
  if (first.done) throw new VlmR1Error("ERR_DATA", `${path}: expected a header and rows, got an empty file`);
  const names = first.value.cells.map((cell, index) => columnName(unescapeFormula(cell).trim(), index));
  const double = names.find((name, index) => names.indexOf(name) !== index);
  if (double === undefined) return names;
  throw new VlmR1Error("ERR_DATA", `${path}: the header has two columns called "${double}"`, {
    hint: "The first line names the columns, each by a name of its own.",
  });
}

/** Tables that count their rows leave the name of that column empty. */
function columnName(name: string, index: number): string {
  if (name !== "") return name;
  return index === 0 ? "_" : `_${index + 1}`;
}

async function* readRecords(lines: AsyncGenerator<Line>, columns: readonly string[]): AsyncGenerator<SourceItem> {
  await lines.next();
  for await (const { cells, line } of lines) {
    const place = `line ${line}`;
    const surplus = cells.slice(columns.length).some((cell) => cell.trim() !== "");
    if (surplus) {
      const message = `expected ${columns.length} cells, as the header has, got ${cells.length}`;
      yield { problem: { kind: "malformed", place, message } };
      continue;
    }
    const fields = Object.fromEntries(columns.map((name, index) => [name, unescapeFormula(cells[index] ?? "")]));
    yield { record: { place, fields } };
  }
}

/** Spreadsheets run what begins like a formula; writers put an apostrophe before it, which is no part of the value. */
export function unescapeFormula(cell: string): string {
  return /^'[=+\-@\t\r＝＋－＠]/.test(cell) ? cell.slice(1) : cell;
}

async function* readLines(
  path: string,
  { encoding, delimiter, ends, from }: Layout,
  signal: AbortSignal | undefined,
): AsyncGenerator<Line> {
  let lastWhole = 0;
  // The parser takes a Windows line end within quotes for two lines.
  let twice = 0;
  const parser = parse({
    delimiter,
    record_delimiter: [...ends],
    from_line: from,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    // Spreadsheets write the empty rows below a table as commas.
    skip_records_with_empty_values: true,
    max_record_size: LONGEST_ROW,
    // In front of its cells a row gets the number of its first line.
    on_record: (cells: string[], { lines }) => {
      twice += occurrences(cells, /\r\n/g);
      lastWhole = lines - twice;
      return [String(lastWhole - occurrences(cells, /\r\n|\n|\r/g)), ...cells];
    },
  });
  const input = Readable.from(decodeFile(path, encoding, signal), { objectMode: true });
  // What goes wrong on the way comes out of the loop below.
  pipeline(input, parser, () => undefined);
  try {
    for await (const [line, ...cells] of parser as AsyncIterable<string[]>) {
      throwIfAborted(signal);
      yield { cells, line: Number(line) };
    }
  } catch (error) {
    if (error instanceof CsvError) throw csvError(error, path, lastWhole);
    throw error;
  }
}

function occurrences(cells: readonly string[], expression: RegExp): number {
  return cells.reduce((sum, cell) => sum + (cell.match(expression)?.length ?? 0), 0);
}

function csvError(error: CsvError, path: string, lastWhole: number): VlmR1Error {
  const open = error.code === "CSV_QUOTE_NOT_CLOSED" || error.code === "CSV_MAX_RECORD_SIZE";
  const why = open ? 'a " is opened after it and not closed' : error.message;
  return new VlmR1Error("ERR_DATA", `${path}: cannot read on after line ${lastWhole}: ${why}`, {
    hint: 'A cell that holds a quote is written as "a ""quoted"" word".',
    cause: error,
  });
}
