import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { parse as parseYaml } from "yaml";
import type { z } from "zod";
import { fromSystem, usageError, VlmR1Error } from "../errors/index.js";
import { coerceItems, coerceText } from "./coerce.js";
import { type Field, FieldTable } from "./fields.js";
import { foldName, toKebab } from "./names.js";
import { canonicalKeys, checkConfig, nestedKeys, type Origins, unknownField } from "./parse.js";

/** Characters. */
const LONGEST_PLACEHOLDER = 24;

/** The schema that a command got its flags from. */
const schemas = new WeakMap<Command, z.ZodObject>();

export interface FlagOptions {
  /** Leave out `--config` and `--set`. */
  noConfigFile?: boolean;
}

/** Gives a command one flag per field of `schema`, and `--config FILE` and `--set key=value`. */
export function addConfigFlags(command: Command, schema: z.ZodObject, options: FlagOptions = {}): Command {
  schemas.set(command, schema);
  for (const field of new FieldTable(schema).fields) {
    for (const option of optionsOf(field)) {
      command.addOption(field.heading === undefined ? option : option.helpGroup(`${field.heading}:`));
    }
  }
  if (options.noConfigFile === true) return command;
  return command
    .option("--config <file>", "read fields from a YAML or JSON file; flags and --set win over it")
    .option("--set <key=value>", "set one field by name, nested ones as a.b=value; may be repeated", collect);
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

function optionsOf(field: Field): Option[] {
  const text = helpText(field);
  if (field.kind === "boolean") {
    const off = new Option(`--no-${field.kebab}`, `turn off: ${text}`);
    if (field.defaultValue !== true) off.hideHelp();
    const on = new Option(`--${field.kebab}`, text);
    if (field.defaultValue === true) on.hideHelp();
    return [on, off];
  }
  if (field.kind === "switch") {
    const off = new Option(`--no-${field.kebab}`, `turn off: ${text}`).hideHelp();
    return [new Option(`--${field.kebab} [${placeholder(field)}]`, text), off];
  }
  if (field.kind === "array") return [new Option(`--${field.kebab} <${placeholder(field)}...>`, text)];
  return [new Option(`--${field.kebab} <${placeholder(field)}>`, text)];
}

function placeholder(field: Field): string {
  if (field.placeholder !== undefined) return field.placeholder;
  if (field.kind === "enum") return listsChoices(field) ? "name" : field.choices.join("|");
  if (field.kind === "number") return "n";
  if (field.kind === "switch") return "path";
  return field.kind === "object" ? "yaml" : "value";
}

/** Whether an enumeration is too long to stand behind its flag. */
function listsChoices({ kind, choices }: Field): boolean {
  return kind === "enum" && choices.join("|").length > LONGEST_PLACEHOLDER;
}

function helpText(field: Field): string {
  const { defaultValue, description, choices, aliases } = field;
  const without = [undefined, false, true, ""].includes(defaultValue as never) || String(defaultValue) === "";
  const notes = [
    ...(without ? [] : [`default: ${Array.isArray(defaultValue) ? defaultValue.join(" ") : String(defaultValue)}`]),
    ...(aliases.length === 0 ? [] : [`also ${aliases.map((alias) => `--${toKebab(alias)}`).join(", ")}`]),
  ];
  const list = listsChoices(field) ? `; one of ${choices.join(", ")}` : "";
  return `${description}${list}${notes.length === 0 ? "" : ` (${notes.join("; ")})`}`;
}

/**
 * The checked configuration of a command: defaults, then the `--config` file, then flags, then `--set`.
 * A wrong name or value throws `ERR_CONFIG`.
 */
export async function readCommandConfig<S extends z.ZodObject>(
  command: Command,
  schema: S,
  options: FlagOptions = {},
): Promise<z.output<S>> {
  const table = new FieldTable(schema);
  const given = command.opts<Record<string, unknown>>();
  const values: Record<string, unknown> = {};
  const origins: Origins = new Map();
  const put = (key: string, value: unknown, origin: string) => {
    values[key] = value;
    origins.set(key, origin);
  };
  if (options.noConfigFile !== true && typeof given.config === "string") {
    const fromFile = canonicalKeys(schema, await readConfigFile(given.config), given.config);
    for (const [key, value] of Object.entries(fromFile)) put(key, value, given.config);
  }
  for (const field of table.fields) {
    const value = given[attributeName(field)];
    if (value !== undefined) put(field.key, flagValue(field, value), `--${field.kebab}`);
  }
  for (const assignment of (given.set as string[] | undefined) ?? []) applySet(table, values, assignment, put);
  return checkConfig(schema, values, origins);
}

function attributeName(field: Field): string {
  return new Option(`--${field.kebab} <value>`).attributeName();
}

function flagValue(field: Field, value: unknown): unknown {
  if (Array.isArray(value)) return coerceItems(field.schema, value.map(String));
  return typeof value === "string" ? coerceText(field.schema, value) : value;
}

type Put = (key: string, value: unknown, origin: string) => void;

function applySet(table: FieldTable, values: Record<string, unknown>, assignment: string, put: Put): void {
  const split = assignment.indexOf("=");
  if (split < 1) throw usageError(`--set expects key=value, got "${assignment}"`, "For example: --set temperature=0.9");
  const path = assignment.slice(0, split).trim().split(".");
  const text = assignment.slice(split + 1);
  const name = path[0] ?? "";
  const field = table.find(name);
  if (field === undefined) throw unknownField(table, name, name, "--set");
  const origin = `--set ${name}`;
  if (path.length === 1) {
    put(field.key, coerceText(field.schema, text), origin);
    return;
  }
  const nested = path.slice(1).reduceRight<unknown>((value, part) => ({ [part]: value }), parseYaml(text));
  put(field.key, merge(values[field.key], nestedKeys(field.schema, nested, "--set", `${name}.`)), origin);
}

function merge(base: unknown, over: unknown): unknown {
  if (!isPlain(base) || !isPlain(over)) return over;
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const known = Object.keys(base).find((name) => foldName(name) === foldName(key)) ?? key;
    out[known] = merge(base[known], value);
  }
  return out;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads a YAML or JSON file (JSON is YAML). An empty file is an empty map. */
export async function readConfigFile(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fromSystem(error, "read the configuration file", path);
  }
  try {
    return parseYaml(text.replace(/^\uFEFF/, "")) ?? {};
  } catch (error) {
    throw new VlmR1Error("ERR_CONFIG", `${path}: not valid YAML or JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** `--augment false` and `--augment=true`, as Python's argument parsers have it. */
function truthOf(text: string | undefined): boolean | undefined {
  return text === "true" ? true : text === "false" ? false : undefined;
}

const FLAG = /^(--[A-Za-z][\w-]*)(=[\s\S]*)?$/;

/**
 * Rewrites flags in other spellings (`--max_new_tokens`, `--maxNewTokens`, aliases such as `--lr`) to the ones that
 * the command knows. Values are left alone, also where they look like flags.
 */
export function normaliseFlags(args: readonly string[], command: Command): string[] {
  const schema = schemas.get(command);
  const known = new Map<string, Option>();
  for (const option of command.options) if (option.long) known.set(foldName(option.long), option);
  for (const field of schema === undefined ? [] : new FieldTable(schema).fields) {
    const option = known.get(foldName(`--${field.kebab}`));
    for (const alias of option === undefined ? [] : field.aliases) known.set(foldName(`--${alias}`), option as Option);
  }
  const out: string[] = [];
  let takesNext = false;
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (arg === "--" && !takesNext) return [...out, ...args.slice(index)];
    const match: RegExpExecArray | null = takesNext ? null : FLAG.exec(arg);
    const name: string | undefined = match?.[1];
    const value: string | undefined = match?.[2];
    const option: Option | undefined = name === undefined ? undefined : known.get(foldName(name));
    const truth = option?.isBoolean() && !option.negate ? truthOf(value?.slice(1) ?? args[index + 1]) : undefined;
    if (option?.long && truth !== undefined) {
      out.push(truth ? option.long : option.long.replace("--", "--no-"));
      if (value === undefined) index += 1;
      continue;
    }
    out.push(option?.long ? option.long + (value ?? "") : arg);
    takesNext = option?.required === true && value === undefined;
  }
  return out;
}
