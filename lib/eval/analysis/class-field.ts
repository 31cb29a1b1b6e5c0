import type { Row } from "../../data/datasets/index.js";
import { VlmR1Error } from "../../errors/index.js";
import type { ClassOf } from "./by-class.js";

const NONE = "(none)";

/**
 * Classes by a field of the rows as they stand in the data's file; rows without it are "(none)". Throws `ERR_CONFIG`
 * where no row has it.
 */
export function classesByField(rows: readonly Row[], field: string): ClassOf {
  const classes = new Map<string, string>();
  for (const { id, raw } of rows) if (Object.hasOwn(raw, field)) classes.set(id, textOf(raw[field]));
  if (classes.size === 0) {
    const fields = [...new Set(rows.flatMap(({ raw }) => Object.keys(raw)))];
    throw new VlmR1Error("ERR_CONFIG", `class_field: no row has a field ${JSON.stringify(field)}`, {
      hint: `The rows have: ${fields.join(", ")}`,
    });
  }
  return ({ id }) => classes.get(id) ?? NONE;
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return NONE;
  return typeof value === "string" ? value : JSON.stringify(value);
}
