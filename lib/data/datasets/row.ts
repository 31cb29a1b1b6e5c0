import type { Message } from "../../processing/index.js";

/** One question with its pictures and the answer that is known to be right. */
export interface Row {
  /** Names the row in logs and messages; unique in a run. */
  id: string;
  /** Everything before the answer; image parts stand for `images` in their order. */
  messages: Message[];
  /** Absolute paths. */
  images: string[];
  /** The last answer of the conversation, else the row's `solution` field, else empty. */
  solution: string;
  /** The row as it stands in the file, for rewards that read further fields. */
  raw: Readonly<Record<string, unknown>>;
}

/** A row that cannot be used, and why. */
export interface RowProblem {
  file: string;
  /** Line of a JSONL file or number of an array's item, from 1. */
  place: string;
  id: string | undefined;
  message: string;
}

export function describeProblem({ file, place, id, message }: RowProblem): string {
  return `${file}, ${place}${id === undefined ? "" : ` (id ${JSON.stringify(id)})`}: ${message}`;
}

/** Ids that a list names. */
const NAMED = 5;

/** The first ids, and how many rows there are beside them. */
export function listIds(rows: readonly Pick<Row, "id">[]): string {
  const named = rows.slice(0, NAMED).map(({ id }) => id);
  return named.join(", ") + (rows.length > NAMED ? ` and ${rows.length - NAMED} more` : "");
}
