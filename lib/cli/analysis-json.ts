import { toSnake } from "../config/names.js";

/** An analysis as JSON: fields in snake_case, as everywhere in files. Only its own fields are keys, never data. */
export function analysisToJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(analysisToJson);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [toSnake(name), analysisToJson(item)]));
}
