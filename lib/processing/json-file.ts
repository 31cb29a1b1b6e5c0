import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { type ErrorCode, fromSystem, VlmR1Error } from "../errors/index.js";

/** The text of a file, or undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fromSystem(error, "read", path);
  }
}

/** A checked JSON file of a model's folder, or undefined where there is none. */
export async function readJson<S extends z.ZodType>(
  directory: string,
  name: string,
  schema: S,
  code: ErrorCode = "ERR_MODEL",
): Promise<z.output<S> | undefined> {
  const path = join(directory, name);
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw new VlmR1Error(code, `${path}: not valid JSON: ${(cause as Error).message}`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.join(".") ?? "";
  throw new VlmR1Error(code, `${path}: ${where === "" ? "" : `"${where}": `}${issue?.message ?? "not as expected"}`, {
    cause: result.error,
  });
}
