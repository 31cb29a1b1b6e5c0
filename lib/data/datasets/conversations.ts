import { readFile, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, resolve } from "node:path";
import { fromSystem, throwIfAborted, VlmR1Error } from "../../errors/index.js";
import { parseRow } from "./parse-row.js";
import { describeProblem, type RowProblem } from "./row.js";
import { type UniqueRows, withUniqueIds } from "./unique-ids.js";

export interface LoadConversationsOptions {
  /** Folder that relative picture paths start from: one for all files, or one per file. Default: each file's own. */
  imageFolders?: string | readonly string[] | undefined;
  /** Look whether the pictures are there; true unless given. */
  checkImages?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface Conversations extends UniqueRows {
  /** How many of `rows` come from each file, in order. */
  files: number[];
  /** Rows that were left out. */
  problems: RowProblem[];
}

type PartOfRows = Pick<Conversations, "rows" | "problems">;

interface RawRow {
  value: unknown;
  /** Why the text is not JSON. */
  broken?: string;
  place: string;
  number: number;
}

const SHOWN_PROBLEMS = 5;

/**
 * Reads conversations JSON (an array) and JSONL (an object per line); several files as a list or as `a.json:b.jsonl`.
 * Bad rows are named in `problems`; where not a single row is good, `ERR_DATA` is thrown. Ids are made unique over all
 * files.
 */
export async function loadConversations(
  files: string | readonly string[],
  options: LoadConversationsOptions = {},
): Promise<Conversations> {
  const paths = splitPaths(files);
  if (paths.length === 0) throw new VlmR1Error("ERR_CONFIG", "expected at least one conversations file, got none");
  const folders = foldersFor(paths, options.imageFolders);
  const parts: PartOfRows[] = [];
  for (const [index, path] of paths.entries()) {
    parts.push(await loadFile(path, folders[index] ?? dirname(path), options));
  }
  const rows = parts.flatMap((part) => part.rows);
  const problems = parts.flatMap((part) => part.problems);
  if (rows.length === 0) throw noGoodRow(paths, problems);
  return { ...withUniqueIds(rows), files: parts.map((part) => part.rows.length), problems };
}

/** Splits `a.json:b.jsonl`; the colon of a Windows drive stays. */
export function splitPaths(paths: string | readonly string[]): string[] {
  const list = typeof paths === "string" ? [paths] : paths;
  return list.flatMap((item) => {
    const pieces = item.split(":");
    const out: string[] = [];
    for (const piece of pieces) {
      const drive = process.platform === "win32" ? out.at(-1) : undefined;
      if (drive !== undefined && /^[A-Za-z]$/.test(drive) && /^[\\/]/.test(piece))
        out[out.length - 1] = `${drive}:${piece}`;
      else out.push(piece);
    }
    return out.filter((piece) => piece !== "");
  });
}

function foldersFor(paths: string[], given: LoadConversationsOptions["imageFolders"]): string[] {
  const folders = given === undefined ? [] : splitPaths(given);
  if (folders.length === 0) return paths.map((path) => dirname(path));
  if (folders.length === 1) return paths.map(() => folders[0] as string);
  if (folders.length === paths.length) return folders;
  throw new VlmR1Error("ERR_CONFIG", `${paths.length} data files, but ${folders.length} image folders`, {
    hint: "Give one folder per file, or one for all.",
  });
}

async function loadFile(path: string, folder: string, options: LoadConversationsOptions): Promise<PartOfRows> {
  const rawRows = splitRows(await readText(path), path);
  const out: PartOfRows = { rows: [], problems: [] };
  for (const raw of rawRows) {
    throwIfAborted(options.signal);
    try {
      if (raw.broken !== undefined) throw new VlmR1Error("ERR_DATA", raw.broken);
      const row = parseRow(raw.value, resolve(folder), `${basename(path)}:${raw.number}`);
      if (options.checkImages !== false) await checkImages(row.images);
      out.rows.push(row);
    } catch (error) {
      if (!(error instanceof VlmR1Error)) throw error;
      out.problems.push({ file: path, place: raw.place, id: idOf(raw.value), message: error.message });
    }
  }
  return out;
}

function noGoodRow(paths: readonly string[], problems: RowProblem[]): VlmR1Error {
  const path = paths.join(", ");
  if (problems.length === 0) return new VlmR1Error("ERR_DATA", `${path}: there are no rows`);
  const shown = problems.slice(0, SHOWN_PROBLEMS).map((problem) => `  ${describeProblem(problem)}`);
  const more = problems.length > SHOWN_PROBLEMS ? [`  … and ${problems.length - SHOWN_PROBLEMS} more`] : [];
  const text = [`${path}: none of ${problems.length} rows can be used`, ...shown, ...more].join("\n");
  return new VlmR1Error("ERR_DATA", text, {
    hint: problems.every(({ message }) => message.includes("cannot find the picture"))
      ? "Relative paths of pictures begin at the data file's folder; image_folders names another one."
      : 'A row is {"id", "image": path | [paths], "conversations": [{"from": "human", "value"}, {"from": "gpt", "value"}]}.',
  });
}

async function readText(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
  } catch (error) {
    const hint = isAbsolute(path) ? undefined : `Relative paths begin at the current folder, ${process.cwd()}.`;
    throw fromSystem(error, "read the data file", path, hint);
  }
}

function splitRows(text: string, path: string): RawRow[] {
  if (text.trimStart().startsWith("[")) return arrayRows(text, path);
  const rows: RawRow[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    const number = index + 1;
    rows.push({ ...parseLine(line), place: `line ${number}`, number });
  }
  return rows;
}

function parseLine(line: string): Pick<RawRow, "value" | "broken"> {
  try {
    return { value: JSON.parse(line) };
  } catch (error) {
    return { value: undefined, broken: `not valid JSON: ${(error as Error).message}` };
  }
}

function arrayRows(text: string, path: string): RawRow[] {
  let values: unknown[];
  try {
    values = JSON.parse(text) as unknown[];
  } catch (cause) {
    throw new VlmR1Error("ERR_DATA", `${path}: not valid JSON: ${withLine((cause as Error).message, text)}`, { cause });
  }
  return values.map((value, index) => ({ value, place: `row ${index + 1}`, number: index + 1 }));
}

/** Adds the line to V8's "at position N"; where V8 quotes the place instead, that has to do. */
function withLine(message: string, text: string): string {
  const position = /at position (\d+)/.exec(message)?.[1];
  const short = message.replace(/\s+/g, " ");
  if (position === undefined || /line \d+/.test(message)) return short;
  return `${short} (line ${text.slice(0, Number(position)).split("\n").length})`;
}

async function checkImages(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      const { size } = await stat(path);
      if (size === 0) throw new VlmR1Error("ERR_DATA", `the picture ${path} is empty`);
    } catch (error) {
      throw fromSystem(error, "find the picture", path);
    }
  }
}

function idOf(value: unknown): string | undefined {
  const id = typeof value === "object" && value !== null ? (value as { id?: unknown }).id : undefined;
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined;
}
