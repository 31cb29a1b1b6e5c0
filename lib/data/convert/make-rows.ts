import { createHash } from "node:crypto";
import { basename, relative, sep } from "node:path";
import { VlmR1Error } from "../../errors/index.js";
import { countMarkers, IMAGE_MARKER } from "../../processing/messages.js";
import type { Entry, Turn } from "./entry.js";
import { OWN_COLUMNS } from "./entry.js";
import type { KnownPicture, PictureReference } from "./pictures.js";
import { chooseSeeded, drawOf } from "./seeded.js";
import { asText, isNothing } from "./source.js";
import { renderTemplate, type Template } from "./template.js";

/** How a source's rows become conversations. */
export interface Recipe {
  /** Undefined: each row has its own. */
  questions: readonly Template[] | undefined;
  /** Undefined: the row's answer as it is. */
  answer: Template | undefined;
  think: Template | undefined;
  /** Put `<answer>` around answers that have none. */
  wrap: boolean;
  questionsPerRow: number | "all";
  /** Further columns that rows keep; undefined: all of a conversation's. */
  keep: readonly string[] | undefined;
  seed: number;
}

/** A row of the output; its pictures are put in when they have their places. */
export interface MadeRow {
  id: string;
  conversations: Turn[];
  kept: Record<string, unknown>;
}

export interface MadeEntry {
  rows: MadeRow[];
  /** Equal for entries that say the same about the same pictures. */
  sameness: string;
}

/** Throws `ERR_DATA` that names the field which a row lacks. */
export function makeRows(
  entry: Entry,
  pictures: readonly { reference: PictureReference; known: KnownPicture }[],
  recipe: Recipe,
  folder: string,
): MadeEntry {
  const answer = answerOf(entry, recipe);
  const given = entry.turns === undefined ? (entry.question ?? "") : JSON.stringify(entry.turns);
  const sameness = createHash("sha256")
    .update(
      JSON.stringify([pictures.map(({ known }) => known.hash), recipe.questions === undefined ? given : "", answer]),
    )
    .digest("hex");
  const id = entry.id ?? idOf(entry, pictures, folder, sameness);
  const kept = keptFields(entry, recipe.keep);
  const gpt: Turn[] = answer === undefined ? [] : [{ from: "gpt", value: answer }];
  const row = (rowId: string, turns: readonly Turn[]): MadeRow => ({
    id: rowId,
    conversations: [...turns, ...gpt],
    kept,
  });
  if (entry.turns !== undefined) return { rows: [row(id, withMarkers(entry.turns, pictures.length))], sameness };
  const questions = questionsOf(entry, recipe, sameness);
  const rows = questions.map(({ text, number }) => {
    const turns = withMarkers([{ from: "human", value: text }], pictures.length);
    return row(recipe.questionsPerRow === 1 || number === undefined ? id : `${id}#q${number}`, turns);
  });
  return { rows, sameness };
}

/** Where no text says where the pictures are, they come first. */
function withMarkers(turns: readonly Turn[], pictures: number): Turn[] {
  const markers = turns.reduce((sum, { value }) => sum + countMarkers(value), 0);
  const first = turns.findIndex(({ from }) => from === "human" || from === "user");
  if (markers > 0 || pictures === 0) return [...turns];
  return turns.map((turn, index) =>
    index === first ? { ...turn, value: IMAGE_MARKER.repeat(pictures) + turn.value } : turn,
  );
}

function answerOf(entry: Entry, { answer: template, think, wrap }: Recipe): string | undefined {
  const answer = template === undefined ? entry.answer : renderTemplate(template, entry.texts).trim();
  if (answer === undefined && entry.turns !== undefined) return undefined;
  const isEmpty = entry.turns === undefined ? isNothing : (text: string) => text.trim() === "";
  if (answer === undefined || isEmpty(answer)) {
    throw new VlmR1Error("ERR_DATA", `answer: ${answer ? `is ${JSON.stringify(answer)}` : "is empty"}`);
  }
  const thoughts = think === undefined ? entry.think : renderTemplate(think, entry.texts).trim();
  const wrapped = wrap && !answer.includes("<answer>") ? `<answer>${answer}</answer>` : answer;
  const hasThoughts = thoughts !== undefined && !isNothing(thoughts) && !answer.includes("<think>");
  return hasThoughts ? `<think>${thoughts}</think>${wrapped}` : wrapped;
}

interface Question {
  text: string;
  /** Of its template, from 1. */
  number: number | undefined;
}

function questionsOf(entry: Entry, { questions, questionsPerRow, seed }: Recipe, sameness: string): Question[] {
  if (questions === undefined) {
    const text = entry.question ?? "";
    if (isNothing(text)) throw new VlmR1Error("ERR_DATA", `question: ${text === "" ? "is empty" : `is "${text}"`}`);
    return [{ text, number: undefined }];
  }
  const count = questionsPerRow === "all" ? questions.length : questionsPerRow;
  const numbered = questions.map((template, index) => ({ template, number: index + 1 }));
  // By the question's own text: another one in the list moves only the rows that it is chosen for.
  const chosen = chooseSeeded(numbered, count, ({ template }) => drawOf(seed, "question", sameness, template.text));
  return chosen
    .sort((a, b) => a.number - b.number)
    .map(({ template, number }) => ({ text: renderTemplate(template, entry.texts), number }));
}

/** The first picture's path without its ending, or what its content is called; without pictures of the texts. */
function idOf(
  entry: Entry,
  pictures: readonly { reference: PictureReference; known: KnownPicture }[],
  folder: string,
  sameness: string,
): string {
  const [first] = pictures;
  if (first === undefined) return `${basename(entry.file)}:${sameness.slice(0, 12)}`;
  if ("bytes" in first.reference) return first.known.hash.slice(0, 12);
  const path = relative(folder, first.reference.path).split(sep).join("/");
  return path.replace(/\.\w+$/, "");
}

function keptFields(entry: Entry, keep: Recipe["keep"]): Record<string, unknown> {
  const all = entry.turns === undefined ? [] : Object.keys(entry.fields).filter((name) => !OWN_COLUMNS.has(name));
  const pairs = (keep ?? all).flatMap((name) => {
    const value = forJson(entry.fields[name]);
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(pairs);
}

/** Maps and lists in each other that a kept field may have: the writer's own depth has an end. */
const DEEPEST = 100;

/** As JSON has it; bytes are left out. */
function forJson(value: unknown, depth = 0): unknown {
  if (depth > DEEPEST) throw new VlmR1Error("ERR_DATA", `a field to keep has more than ${DEEPEST} levels`);
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Uint8Array) return undefined;
  if (value instanceof Date) return asText(value);
  if (Array.isArray(value)) return value.map((item) => forJson(item, depth + 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, forJson(inner, depth + 1)]));
}
