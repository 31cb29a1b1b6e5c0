import { VlmR1Error } from "../../errors/index.js";
import type { Profile, Role } from "./columns.js";
import { type PictureReference, pictureReferences } from "./pictures.js";
import { asText, isNothing, type Source, type SourceRecord, shown } from "./source.js";

export interface Turn {
  from: string;
  value: string;
}

/** A row of a source with its columns read. */
export interface Entry {
  file: string;
  place: string;
  id: string | undefined;
  /** Where the row is a conversation already; without its answer. */
  turns: readonly Turn[] | undefined;
  question: string | undefined;
  answer: string | undefined;
  think: string | undefined;
  /** Every column for templates; undefined: it holds no text. */
  texts: Readonly<Record<string, string | undefined>>;
  fields: SourceRecord["fields"];
}

/** Columns that a conversation's row is made of; all others are kept with it. */
export const OWN_COLUMNS: ReadonlySet<string> = new Set(["id", "image", "images", "conversations"]);

/** Throws `ERR_DATA` for a row that does not hold what its columns are for. */
export function readEntry(record: SourceRecord, source: Source, profile: Profile): Entry {
  const { fields, place } = record;
  const { roles } = profile;
  const texts = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, asText(value)]));
  const text = (role: Exclude<Role, "image">) => {
    const column = roles[role];
    if (column === undefined) return undefined;
    if (column in texts && texts[column] === undefined) {
      throw new VlmR1Error("ERR_DATA", `${column}: expected a text, got ${shown(fields[column])}`);
    }
    return texts[column];
  };
  const conversation = profile.conversations ? readTurns(fields) : undefined;
  const answer = conversation === undefined ? text("answer") : conversation.answer;
  const id = text("id");
  return {
    file: source.file,
    place,
    id: id === undefined || isNothing(id) ? undefined : id,
    turns: conversation?.turns,
    question: conversation === undefined ? text("question") : undefined,
    answer,
    think: conversation === undefined ? text("think") : undefined,
    texts: withRoles(texts, { ...roles, image: undefined }, answer),
    fields,
  };
}

/** A row's pictures. Throws `ERR_DATA` where there is none, unless the rows are conversations. */
export function readPictures(
  { fields }: SourceRecord,
  { roles, conversations }: Profile,
  folder: string,
): PictureReference[] {
  const pictures = roles.image.flatMap((column) => pictureReferences(fields[column], folder));
  if (pictures.length > 0 || roles.image.length === 0 || conversations) return pictures;
  throw new VlmR1Error("ERR_DATA", `${roles.image.join(", ")}: no picture is named`);
}

/** Templates may also say `{answer}` of a column that is called otherwise. */
function withRoles(
  texts: Entry["texts"],
  roles: Readonly<Record<string, unknown>>,
  answer: string | undefined,
): Entry["texts"] {
  const named = Object.entries(roles).flatMap(([role, column]) =>
    typeof column === "string" && !(role in texts) ? [[role, texts[column]]] : [],
  );
  return { ...texts, ...Object.fromEntries(named), ...(answer !== undefined && { answer }) };
}

/** The turns before the last answer, and that answer, or else the row's `solution`. */
function readTurns(fields: SourceRecord["fields"]): { turns: Turn[]; answer: string | undefined } {
  const { conversations } = fields;
  if (!Array.isArray(conversations) || conversations.length === 0) {
    throw new VlmR1Error("ERR_DATA", "conversations: expected a list of turns");
  }
  const turns = conversations.map((turn: unknown, index) => readTurn(turn, index));
  const last = turns.at(-1);
  if (last?.from === "gpt" || last?.from === "assistant") return { turns: turns.slice(0, -1), answer: last.value };
  return { turns, answer: typeof fields.solution === "string" ? fields.solution : undefined };
}

function readTurn(turn: unknown, index: number): Turn {
  const { from, role, value, content } = (turn ?? {}) as Record<string, unknown>;
  const who = from ?? role;
  const text = value ?? content;
  if (typeof who === "string" && typeof text === "string") return { from: who, value: text };
  throw new VlmR1Error("ERR_DATA", `conversations[${index}]: expected {"from", "value"}`);
}
