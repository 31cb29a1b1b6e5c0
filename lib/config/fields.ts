import { z } from "zod";
import { headingOf } from "./headings.js";
import { foldName, nearestName, toKebab, toSnake } from "./names.js";

export type AnySchema = z.core.$ZodType;

/** What a field takes, as far as a command line has to know; "switch": on, off or a file's name or number. */
export type FieldKind = "boolean" | "switch" | "number" | "string" | "enum" | "array" | "object" | "other";

export interface Field {
  /** camelCase, the schema's own key. */
  key: string;
  snake: string;
  kebab: string;
  /** Further names, from `.meta({ aliases: ["lr"] })`. */
  aliases: string[];
  kind: FieldKind;
  choices: string[];
  description: string;
  /** What its value is called in the help, where that is not clear from its kind. */
  placeholder: string | undefined;
  /** Of the help; undefined for fields that are under none. */
  heading: string | undefined;
  /** Undefined where there is none. */
  defaultValue: unknown;
  /** Must be given. */
  required: boolean;
  schema: AnySchema;
}

interface Meta {
  description?: string;
  placeholder?: string;
  aliases?: string[];
}

/** The fields of an object schema in the order they were written. */
export function fieldsOf(schema: z.ZodObject): Field[] {
  return Object.entries(schema.shape).map(([key, field]) => describeField(key, field as AnySchema));
}

function describeField(key: string, schema: AnySchema): Field {
  const meta: Meta = {};
  let defaultValue: unknown;
  let required = true;
  let current = schema;
  // Metadata and defaults may sit on any layer of .optional().default().describe(): the outermost wins.
  for (;;) {
    const found = z.globalRegistry.get(current as z.ZodType) as Meta | undefined;
    meta.description ??= found?.description as string;
    meta.placeholder ??= found?.placeholder as string;
    meta.aliases ??= found?.aliases as string[];
    const def = layer(current);
    if (def.type === "optional" || def.type === "default" || def.type === "prefault") required = false;
    if (def.type === "default" || def.type === "prefault") defaultValue ??= def.defaultValue;
    const inner = innerOf(current);
    if (inner === undefined) break;
    current = inner;
  }
  return {
    key,
    snake: toSnake(key),
    kebab: toKebab(key),
    aliases: meta.aliases ?? [],
    kind: kindOf(current),
    choices: choicesOf(current),
    description: meta.description ?? "",
    placeholder: meta.placeholder,
    heading: headingOf(schema),
    defaultValue,
    required,
    schema,
  };
}

interface Layer {
  type: string;
  innerType?: AnySchema;
  in?: AnySchema;
  out?: AnySchema;
  defaultValue?: unknown;
  options?: AnySchema[];
  element?: AnySchema;
  entries?: Record<string, string>;
  values?: unknown[];
}

function layer(schema: AnySchema): Layer {
  return schema._zod.def as unknown as Layer;
}

function innerOf(schema: AnySchema): AnySchema | undefined {
  const def = layer(schema);
  if (def.innerType !== undefined) return def.innerType;
  // z.preprocess is a pipe that starts with a transform: what it accepts is only known at its end.
  if (def.type === "pipe" && def.in !== undefined) return layer(def.in).type === "transform" ? def.out : def.in;
  return undefined;
}

/** The schema without `.optional()`, `.default()`, pipes and the like. */
export function unwrap(schema: AnySchema): AnySchema {
  const inner = innerOf(schema);
  return inner === undefined ? schema : unwrap(inner);
}

/** The alternatives of a union, or the schema alone. */
export function alternatives(schema: AnySchema): AnySchema[] {
  const bare = unwrap(schema);
  const { options } = layer(bare);
  return options === undefined ? [bare] : options.flatMap(alternatives);
}

/** Whether `null` is a value, as of `.nullable()`. */
export function acceptsNull(schema: AnySchema): boolean {
  const def = layer(schema);
  if (def.type === "nullable" || def.type === "null") return true;
  if (def.options !== undefined) return def.options.some(acceptsNull);
  const inner = innerOf(schema);
  return inner !== undefined && acceptsNull(inner);
}

export function elementOf(schema: AnySchema): AnySchema | undefined {
  return layer(unwrap(schema)).element;
}

export function kindOf(schema: AnySchema): FieldKind {
  const bare = unwrap(schema);
  const def = layer(bare);
  if (def.type === "boolean" || def.type === "number" || def.type === "string" || def.type === "enum") return def.type;
  if (def.type === "literal") return typeof def.values?.[0] === "string" ? "enum" : "other";
  if (def.type === "array") return "array";
  if (def.type === "object" || def.type === "record") return "object";
  if (def.options === undefined) return "other";
  const kinds = alternatives(bare).map(kindOf);
  for (const kind of ["array", "object"] as const) if (kinds.includes(kind)) return kind;
  if (kinds.includes("boolean") && (kinds.includes("string") || kinds.includes("number"))) return "switch";
  return kinds.every((kind) => kind === kinds[0]) ? (kinds[0] ?? "other") : "other";
}

function choicesOf(schema: AnySchema): string[] {
  return alternatives(schema).flatMap((option) => {
    const { entries, values } = layer(option);
    return [...Object.values(entries ?? {}), ...(values ?? [])].map(String);
  });
}

/** A schema that is an object with named fields. */
export function asObject(schema: AnySchema): z.ZodObject | undefined {
  const bare = unwrap(schema);
  return bare instanceof z.ZodObject ? bare : undefined;
}

/** Finds fields by any spelling. */
export class FieldTable {
  readonly fields: Field[];
  private readonly byName = new Map<string, Field>();

  constructor(schema: z.ZodObject) {
    this.fields = fieldsOf(schema);
    for (const field of this.fields) {
      for (const name of [field.key, ...field.aliases]) this.byName.set(foldName(name), field);
    }
  }

  find(name: string): Field | undefined {
    return this.byName.get(foldName(name));
  }

  /** "did you mean …" for a name that is no field's. */
  suggest(name: string): string | undefined {
    return nearestName(
      name,
      this.fields.flatMap((field) => [field.snake, ...field.aliases]),
    );
  }
}
