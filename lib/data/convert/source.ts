import { inspect } from "node:util";

/** Formats that are read; "conversations" is this package's own, LLaVA's and VLM-R1's are read the same way. */
export const FORMATS = ["csv", "llava", "vlm-r1", "parquet", "folders", "conversations"] as const;
export type SourceFormat = (typeof FORMATS)[number];

/** A row as the source has it. */
export interface SourceRecord {
  /** "line 3", "row 17": for messages. */
  place: string;
  /** By column; texts, numbers, bytes, lists or maps, as the format gives them. */
  fields: Readonly<Record<string, unknown>>;
}

/** What can be wrong with a row; the counts of a report are by these. */
export type ProblemKind =
  | "malformed"
  | "missing_field"
  | "missing_picture"
  | "bad_picture"
  | "bad_conversation"
  | "duplicate"
  | "leak";

/** A row that is left out, and why. */
export interface ConvertProblem {
  kind: ProblemKind;
  file: string;
  place: string;
  id?: string | undefined;
  message: string;
}

export type SourceItem = { record: SourceRecord } | { problem: Pick<ConvertProblem, "kind" | "place" | "message"> };

/** A file, or a folder of files, opened. */
export interface Source {
  file: string;
  format: SourceFormat;
  /** Names of the columns; of JSON those of the first row. */
  columns: readonly string[];
  /** Folder that relative picture paths start from. */
  folder: string;
  /** What a user should know about how it is read. */
  notices: readonly string[];
  /** Reads it once. `wanted`: columns whose lists, maps and bytes are used; others need not be read. */
  read(wanted: ReadonlySet<string>, signal?: AbortSignal): AsyncIterable<SourceItem>;
}

/** The beginning of a value, for messages. */
export function shown(value: unknown): string {
  const text = inspect(value, {
    depth: 1,
    maxArrayLength: 5,
    maxStringLength: 60,
    breakLength: Number.POSITIVE_INFINITY,
  });
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** A value as templates see it: texts, numbers and truth values; undefined for lists, maps and bytes. */
export function asText(value: unknown): string | undefined {
  switch (typeof value) {
    case "string":
      return value.trim();
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    default:
      if (value === null || value === undefined) return "";
      return value instanceof Date ? value.toISOString() : undefined;
  }
}

const NOTHING = /^(|n\/?a|nan|null|none given|-{1,2}|—|暂无|暂无数据|无数据)$/i;

/** Whether a cell says that there is nothing. "None" and "no" can be answers. */
export function isNothing(text: string): boolean {
  return NOTHING.test(text.trim());
}
