import type { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { type AnySchema, asObject, elementOf, FieldTable } from "./fields.js";
import { toSnake } from "./names.js";

/** Where the value of each top-level field came from, for messages: `train.yaml`, `--learning-rate`. */
export type Origins = Map<string, string>;

type Plain = Record<string, unknown>;

/**
 * Checks options against a schema: keys in any spelling, precise messages, defaults filled in.
 * `where` names the source in messages, such as a file's name.
 */
export function parseConfig<S extends z.ZodObject>(schema: S, input: unknown, where = "options"): z.output<S> {
  const values = canonicalKeys(schema, input, where);
  return checkConfig(schema, values, new Map(Object.keys(values).map((key) => [key, where])));
}

/** Renames the keys of `input` to the schema's own; throws on unknown and doubled ones. */
export function canonicalKeys(schema: z.ZodObject, input: unknown, where: string, path = ""): Plain {
  if (input === null || typeof input !== "object" || Array.isArray(input)) {
    throw new VlmR1Error(
      "ERR_CONFIG",
      `${where}: expected ${path || "the whole"} to be a map of fields, got ${show(input)}`,
    );
  }
  const table = new FieldTable(schema);
  const values: Plain = {};
  const spelled = new Map<string, string>();
  for (const [name, value] of Object.entries(input)) {
    const field = table.find(name);
    if (field === undefined) throw unknownField(table, path + name, name, where);
    const before = spelled.get(field.key);
    if (before !== undefined) {
      throw new VlmR1Error("ERR_CONFIG", `${where}: ${before} and ${name} are the same field; give one of them`);
    }
    spelled.set(field.key, name);
    values[field.key] = nestedKeys(field.schema, value, where, `${path}${name}.`);
  }
  return values;
}

/** The same for a field's value: renames the keys of objects that the schema names. */
export function nestedKeys(schema: AnySchema, value: unknown, where: string, path: string): unknown {
  const object = asObject(schema);
  if (object !== undefined && typeof value === "object" && value !== null && !Array.isArray(value)) {
    return canonicalKeys(object, value, where, path);
  }
  const element = elementOf(schema);
  if (element !== undefined && Array.isArray(value)) return value.map((item) => nestedKeys(element, item, where, path));
  return value;
}

export function unknownField(table: FieldTable, shown: string, name: string, where: string): VlmR1Error {
  const near = table.suggest(name);
  return new VlmR1Error("ERR_CONFIG", `${where}: unknown field "${shown}"`, {
    hint: near === undefined ? "See --help for the known fields." : `Did you mean "${near}"?`,
  });
}

/** Checks values whose keys are the schema's own. */
export function checkConfig<S extends z.ZodObject>(schema: S, values: Plain, origins: Origins): z.output<S> {
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => describeIssue(issue, values, origins));
  throw new VlmR1Error("ERR_CONFIG", [...new Set(lines)].join("\n"));
}

function describeIssue(issue: z.core.$ZodIssue, values: Plain, origins: Origins): string {
  const [first] = issue.path;
  const name = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : toSnake(String(part)))).join(".");
  const origin = typeof first === "string" ? origins.get(first) : undefined;
  const label = name === "" ? "options" : name.replaceAll(".[", "[");
  const value = valueAt(values, issue.path);
  const missing = value === undefined && (issue.code === "invalid_type" || issue.code === "invalid_union");
  const what = missing ? "must be given" : `${explain(issue)}${value === undefined ? "" : `, got ${show(value)}`}`;
  return `${label}${origin === undefined ? "" : ` (from ${origin})`}: ${what}`;
}

/** What zod calls a type, in words. */
const TYPES: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "a map of names and values, such as {name: 1}",
  record: "a map of names and values, such as {name: 1}",
};

function explain(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `expected ${TYPES[issue.expected] ?? `a value of type ${issue.expected}`}`;
    case "invalid_value":
      return `expected one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return `expected ${issue.inclusive === true ? "at least" : "more than"} ${unit(issue.minimum, issue.origin)}`;
    case "too_big":
      return `expected ${issue.inclusive === true ? "at most" : "less than"} ${unit(issue.maximum, issue.origin)}`;
    case "invalid_union":
      // Zod's own message says nothing.
      return issue.message === "Invalid input" ? "expected another kind of value" : issue.message;
    default:
      return issue.message;
  }
}

function unit(limit: number | bigint, origin: string): string {
  if (origin === "string") return `${limit} characters`;
  return origin === "array" ? `${limit} items` : String(limit);
}

function valueAt(values: unknown, path: readonly PropertyKey[]): unknown {
  let current = values;
  for (const part of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current;
}

export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** The same values under the names that configuration files use, for `config.yaml`. Undefined fields are left out. */
export function toFileConfig(values: object): Plain {
  const out: Plain = {};
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && typeof value !== "function") out[toSnake(key)] = value;
  }
  return out;
}
