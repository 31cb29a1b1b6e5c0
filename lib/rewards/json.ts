import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { z } from "zod";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { studentAnswer } from "./answer.js";
import { parseJsonAnswer } from "./json-text.js";
import { named } from "./named.js";
import { readSettings } from "./settings.js";
import type { RewardFunction } from "./types.js";

export const JsonSettings = z.object({
  schema: z
    .union([z.string(), z.record(z.string(), z.unknown())], "expected a file with a JSON Schema, or the schema")
    .optional()
    .describe("file with a JSON Schema that the value must fit"),
  required: z
    .union([z.string(), z.array(z.string())], "expected names of keys, as name,kcal")
    .default([])
    .transform((keys) => (typeof keys === "string" ? keys.split(",") : keys).map((key) => key.trim()))
    .describe("keys that the object, or each object of the list, must have"),
});
export type JsonOptions = z.input<typeof JsonSettings>;

/** Unknown keywords are refused, so that a slip of the hand does not let everything pass; `format` is not checked. */
const AJV_OPTIONS = {
  strictSchema: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  validateFormats: false,
  logger: false,
} as const;

/**
 * 1 when the answer, or the last ```json block in it, is JSON that has the `required` keys and fits the `schema`; else 0.
 * Throws `ERR_REWARD` for a schema that is none, and what reading its file throws.
 */
export function json(options: JsonOptions = {}): RewardFunction {
  const { schema, required } = readSettings("json", JsonSettings, options);
  const fits = schema === undefined ? undefined : compile(schema);
  return named("json", (completion) => {
    const parsed = parseJsonAnswer(studentAnswer(completion));
    if (parsed === undefined || !hasKeys(parsed.value, required)) return 0;
    return Number(fits?.(parsed.value) ?? true);
  });
}

function hasKeys(value: unknown, keys: readonly string[]): boolean {
  if (keys.length === 0) return true;
  if (Array.isArray(value))
    return value.length > 0 && value.every((item) => !Array.isArray(item) && hasKeys(item, keys));
  return typeof value === "object" && value !== null && keys.every((key) => Object.hasOwn(value, key));
}

type Validate = (value: unknown) => boolean;

/** Only where a schema is used: Ajv takes a while to load, and the constructor cannot wait for an import. */
const require = createRequire(import.meta.url);

function compile(schema: string | Record<string, unknown>): Validate {
  const name = typeof schema === "string" ? schema : "the schema";
  try {
    const parsed: unknown = typeof schema === "string" ? JSON.parse(read(schema)) : schema;
    const draft7 = /draft-0[67]/.test(String((parsed as { $schema?: unknown } | null)?.$schema));
    const { default: Ajv } = require(draft7 ? "ajv" : "ajv/dist/2020.js") as typeof import("ajv");
    return new Ajv(AJV_OPTIONS).compile(parsed as Record<string, unknown>);
  } catch (error) {
    if (error instanceof VlmR1Error) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new VlmR1Error("ERR_REWARD", `the reward json: ${name} is no JSON Schema that can be used: ${message}`, {
      hint: "JSON Schema 2020-12 and drafts 6 and 7 are known, without references into other files.",
      cause: error,
    });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw fromSystem(error, "read the JSON Schema", path);
  }
}
