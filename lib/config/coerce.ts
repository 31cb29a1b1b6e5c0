import { parse as parseYaml } from "yaml";
import { type AnySchema, acceptsNull, alternatives, elementOf, kindOf } from "./fields.js";

const TRUE = new Set(["true", "1", "yes", "on"]);
const FALSE = new Set(["false", "0", "no", "off"]);

/**
 * Turns the text of a flag into the value that `schema` wants. Text that does not fit is handed on as it is, so that
 * the schema's own check reports it.
 */
export function coerceText(schema: AnySchema, text: string): unknown {
  if (text === "null" && acceptsNull(schema)) return null;
  const options = alternatives(schema);
  // Where a text may also be a list of texts, only brackets make it one.
  if (options.some((option) => kindOf(option) === "string") && !text.trimStart().startsWith("[")) return text;
  for (const option of options) {
    const value = coerceOne(option, text);
    if (value !== text) return value;
  }
  return text;
}

/** The items of a flag that takes several, such as `--image a.png b.png` or `--reward-weights 1,0.5`. */
export function coerceItems(schema: AnySchema, items: readonly string[]): unknown {
  const array = alternatives(schema).find((option) => kindOf(option) === "array");
  const element = array === undefined ? undefined : elementOf(array);
  if (element === undefined) return coerceText(schema, items.join(" "));
  // A comma can be part of a path, never of a number.
  const parts = kindOf(element) === "number" ? items.flatMap((item) => item.split(",")) : items;
  return parts.map((item) => coerceText(element, item));
}

function coerceOne(schema: AnySchema, text: string): unknown {
  switch (kindOf(schema)) {
    case "number":
      return toNumber(text);
    case "boolean":
      return TRUE.has(text.toLowerCase()) ? true : FALSE.has(text.toLowerCase()) ? false : text;
    case "array": {
      const value = fromYaml(text);
      return Array.isArray(value) ? value : coerceItems(schema, [text]);
    }
    case "object":
      return fromYaml(text);
    default:
      return text;
  }
}

function toNumber(text: string): unknown {
  const trimmed = text.trim();
  if (/^[+-]?inf(inity)?$/i.test(trimmed)) return trimmed.startsWith("-") ? -Infinity : Infinity;
  const value = Number(trimmed);
  return trimmed === "" || Number.isNaN(value) ? text : value;
}

function fromYaml(text: string): unknown {
  try {
    return parseYaml(text);
  } catch {
    return text;
  }
}
