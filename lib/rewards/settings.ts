import type { z } from "zod";
import { coerceText } from "../config/coerce.js";
import { FieldTable } from "../config/fields.js";
import { parseConfig } from "../config/parse.js";
import { VlmR1Error } from "../errors/index.js";

/** A reward as a user writes it: `cosine?max_len=256&min_value_wrong=-1`, `./mine.mjs#name`. */
export interface RewardSpec {
  /** What stands before the question mark. */
  name: string;
  /** By the names that were written; a setting without `=` is "true". */
  settings: ReadonlyMap<string, string>;
}

/** Takes a spec apart; `%26` and the like stand for characters that have a meaning in it. */
export function parseRewardSpec(spec: string): RewardSpec {
  const mark = spec.indexOf("?");
  const name = (mark < 0 ? spec : spec.slice(0, mark)).trim();
  const settings = new Map<string, string>();
  for (const part of mark < 0 ? [] : spec.slice(mark + 1).split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const key = decode(equals < 0 ? part : part.slice(0, equals), spec).trim();
    if (settings.has(key)) throw new VlmR1Error("ERR_REWARD", `the reward "${spec}" sets ${key} twice`);
    settings.set(key, equals < 0 ? "true" : decode(part.slice(equals + 1), spec));
  }
  return { name, settings };
}

function decode(text: string, spec: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new VlmR1Error("ERR_REWARD", `the reward "${spec}": "${text}" is no text with %-escapes`, {
      hint: "Write a percent sign as %25.",
    });
  }
}

/** A spec's texts as the values that the schema's fields want; unknown names are left for `readSettings` to report. */
export function typedSettings(schema: z.ZodObject, settings: ReadonlyMap<string, string>): Record<string, unknown> {
  const table = new FieldTable(schema);
  const typed: Record<string, unknown> = {};
  for (const [name, text] of settings) {
    const field = table.find(name);
    typed[name] = field === undefined ? text : coerceText(field.schema, text);
  }
  return typed;
}

/**
 * Checks a reward's settings and fills in defaults. Keys may be camelCase or snake_case. Throws `ERR_REWARD` with the
 * nearest name for an unknown one.
 */
export function readSettings<S extends z.ZodObject>(reward: string, schema: S, options: object): z.output<S> {
  const where = `reward ${reward}`;
  try {
    return parseConfig(schema, options, where);
  } catch (error) {
    if (!(error instanceof VlmR1Error)) throw error;
    const { hint } = error;
    const known = new FieldTable(schema).fields.map(({ snake }) => snake).join(", ");
    const fallback =
      known === ""
        ? `The reward ${reward} has no settings.`
        : `Its settings are ${known}; they are given as ${reward}?name=value&name=value.`;
    const message = error.message.replace("unknown field", "unknown setting").replaceAll(` (from ${where})`, "");
    throw new VlmR1Error("ERR_REWARD", message.startsWith(where) ? message : `${where}: ${message}`, {
      hint: hint?.startsWith("Did you") ? `${hint} ${fallback}` : fallback,
      cause: error,
    });
  }
}
