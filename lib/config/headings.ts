import { z } from "zod";
import type { AnySchema } from "./fields.js";

/** What a command's help calls the group of a field. */
const headings = z.registry<{ heading: string }>();

/** The same fields under a heading of the help. They are copies: elsewhere a field may stand under none. */
export function underHeading<F extends Record<string, z.ZodType>>(heading: string, fields: F): F {
  const copies = Object.entries(fields).map(([key, field]) => {
    const copy = field.clone();
    headings.add(copy, { heading });
    return [key, copy];
  });
  return Object.fromEntries(copies) as F;
}

/** Undefined for a field that is under none, or that was made of another one. */
export function headingOf(field: AnySchema): string | undefined {
  return headings.get(field as z.ZodType)?.heading;
}
