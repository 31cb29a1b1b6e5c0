import { readFileSync } from "node:fs";
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

/**
 * 1 when the answer, or the last ```json block in it, is JSON that has the `required` keys and fits the `schema`; else 0.
 * Throws `ERR_REWARD` for a schema that cannot be read or says what is not supported (references into other files).
 */
export function json(options: JsonOptions = {}): RewardFunction {
  const { schema, required } = readSettings("json", JsonSettings, options);
  const fits = schema === undefined ? undefined : compile(schema);
  return named("json", (completion) => {
    const parsed = parseJsonAnswer(studentAnswer(completion));
    if (parsed === undefined || !hasKeys(parsed.value, required)) return 0;
    return Number(fits?.safeParse(parsed.value).success ?? true);
  });
}

function hasKeys(value: unknown, keys: readonly string[]): boolean {
  if (keys.length === 0) return true;
  if (Array.isArray(value))
    return value.length > 0 && value.every((item) => !Array.isArray(item) && hasKeys(item, keys));
  return typeof value === "object" && value !== null && keys.every((key) => Object.hasOwn(value, key));
}

function compile(schema: string | Record<string, unknown>): z.ZodType {
  const name = typeof schema === "string" ? schema : "the schema";
  try {
    return z.fromJSONSchema(typeof schema === "string" ? JSON.parse(read(schema)) : schema);
  } catch (error) {
    if (error instanceof VlmR1Error) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new VlmR1Error("ERR_REWARD", `the reward json: ${name} is no JSON Schema that can be used: ${message}`, {
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
