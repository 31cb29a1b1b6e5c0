import { VlmR1Error } from "../../errors/index.js";
import { parseNumbers } from "../text/numbers.js";
import { isNothing } from "./source.js";

interface Filter {
  name: string;
  argument: string;
}

interface Slot {
  field: string;
  filters: Filter[];
}

/** Text with slots such as `{name}` and `{heat|kcal}`. */
export interface Template {
  text: string;
  parts: readonly (string | Slot)[];
}

/** A kilojoule in kilocalories. */
const KCAL_PER_KJ = 1 / 4.184;

/** What stands behind a field's name and a bar. Each gets the field's text and throws a sentence about it. */
const FILTERS: Readonly<Record<string, (text: string, argument: string) => string>> = {
  number: (text) => String(firstNumber(text)),
  kcal: (text) =>
    /千焦|kj/i.test(text) ? String(Math.round(firstNumber(text) * KCAL_PER_KJ)) : String(firstNumber(text)),
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
  spaces: (text) => text.replaceAll("_", " "),
  default: (text, argument) => (isNothing(text) ? argument : text),
};

export const filterNames: readonly string[] = Object.keys(FILTERS);

/** "1,99" and "1.234,50": a comma with one or two digits behind it divides no thousands. */
const DECIMAL_COMMA = /(?<![\d.,])(\d{1,3}(?:\.\d{3})+|\d+),(\d{1,2})(?![\d,])/g;

function firstNumber(text: string): number {
  const points = text.replace(
    DECIMAL_COMMA,
    (_, whole: string, decimals: string) => `${whole.replaceAll(".", "")}.${decimals}`,
  );
  const [number] = parseNumbers(points);
  if (number === undefined) throw new Error(`expected a number, got ${JSON.stringify(text.slice(0, 60))}`);
  return number;
}

/**
 * Reads `{field}`, `{field|filter}` and `{field|filter:argument|…}`; `{{` and `}}` stand for braces. Throws
 * `ERR_CONFIG`.
 */
export function parseTemplate(text: string): Template {
  const parts: (string | Slot)[] = [];
  let from = 0;
  for (const match of text.matchAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g)) {
    parts.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[0] === "{{" || match[0] === "}}") parts.push(match[0].slice(1));
    else if (match[1] === undefined) throw wrongTemplate(text, `a "${match[0]}" stands alone`);
    else parts.push(parseSlot(match[1], text));
  }
  parts.push(text.slice(from));
  return { text, parts: parts.filter((part) => part !== "") };
}

function parseSlot(inside: string, text: string): Slot {
  const [field = "", ...filters] = inside.split("|").map((piece) => piece.trim());
  if (field === "") throw wrongTemplate(text, "a field has no name");
  return { field, filters: filters.map((filter) => parseFilter(filter, text)) };
}

function parseFilter(filter: string, text: string): Filter {
  const colon = filter.indexOf(":");
  const name = (colon < 0 ? filter : filter.slice(0, colon)).trim();
  if (!Object.hasOwn(FILTERS, name)) {
    throw wrongTemplate(text, `there is no filter "${name}"`, `Filters are ${filterNames.join(", ")}.`);
  }
  return { name, argument: colon < 0 ? "" : filter.slice(colon + 1) };
}

function wrongTemplate(text: string, why: string, hint?: string): VlmR1Error {
  return new VlmR1Error("ERR_CONFIG", `the template ${JSON.stringify(text)}: ${why}`, {
    hint: hint ?? "Fields are written as {name} or {name|filter}; for a brace write {{ or }}.",
  });
}

export function fieldsOfTemplate(template: Template): string[] {
  return template.parts.flatMap((part) => (typeof part === "string" ? [] : [part.field]));
}

/** Throws `ERR_CONFIG` for a field that no column has. */
export function checkTemplate(template: Template, columns: readonly string[], what: string): void {
  const unknown = fieldsOfTemplate(template).find((field) => !columns.includes(field));
  if (unknown === undefined) return;
  throw new VlmR1Error("ERR_CONFIG", `${what} ${JSON.stringify(template.text)}: there is no field {${unknown}}`, {
    hint: `The fields here are ${columns.map((name) => `{${name}}`).join(", ")}.`,
  });
}

/**
 * Fills in a row's fields. Throws `ERR_DATA` that names the field where it is empty or "N/A", holds no text, or a filter
 * cannot use it.
 */
export function renderTemplate(template: Template, fields: Readonly<Record<string, string | undefined>>): string {
  return template.parts.map((part) => (typeof part === "string" ? part : renderSlot(part, fields))).join("");
}

function renderSlot({ field, filters }: Slot, fields: Readonly<Record<string, string | undefined>>): string {
  const value = Object.hasOwn(fields, field) ? fields[field] : "";
  if (value === undefined) throw new VlmR1Error("ERR_DATA", `${field}: expected a text or a number`);
  let text = value;
  try {
    for (const { name, argument } of filters) text = FILTERS[name]?.(text, argument) ?? text;
  } catch (error) {
    throw new VlmR1Error("ERR_DATA", `${field}: ${isNothing(text) ? nothing(text) : (error as Error).message}`);
  }
  if (isNothing(text)) throw new VlmR1Error("ERR_DATA", `${field}: ${nothing(text)}`);
  return text;
}

function nothing(text: string): string {
  return text === "" ? "is empty" : `is ${JSON.stringify(text)}`;
}
