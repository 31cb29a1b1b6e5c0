import { type FileHandle, open, stat } from "node:fs/promises";
import { fromSystem, VlmR1Error } from "../errors/index.js";
import { GENERATOR } from "./html.js";

/** How far into a page its generator stands at most. */
const HEAD_BYTES = 4096;

/**
 * A report is replaced whole, and nothing else is: a slip of the keyboard must not cost a run's metrics, and a device
 * such as /dev/stdout cannot be replaced by a file.
 *
 * @throws VlmR1Error `ERR_CONFIG` where something else than a report, or an empty file, is in its place
 */
export async function requireReplaceable(path: string): Promise<void> {
  const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw fromSystem(error, "write the report", path);
  });
  if (there === undefined || (there.isFile() && there.size === 0)) return;
  if (there.isFile() && (await isReport(path))) return;
  const what = there.isDirectory() ? "is a folder" : there.isFile() ? "is there, and no report" : "is no file";
  throw new VlmR1Error("ERR_CONFIG", `out: ${path} ${what}`, {
    hint: "Only a report is written over. Name another file, or move this one away.",
  });
}

async function isReport(path: string): Promise<boolean> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString("utf8", 0, bytesRead).includes(`<meta name="generator" content="${GENERATOR}`);
  } catch (error) {
    throw fromSystem(error, "read", path);
  } finally {
    await file?.close();
  }
}
