import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { fromSystem } from "../errors/index.js";
import { linesIn } from "../files/index.js";

/** The lines of a file that may be larger than a string can be; none where there is no file. */
export async function* linesOf(path: string): AsyncGenerator<string> {
  try {
    yield* linesIn(createReadStream(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw fromSystem(error, "read", path);
  }
}

const BLOCK = 1 << 16;
const LINE_END = 0x0a;

/**
 * The last `count` lines of a file, in its order, read from its end; none where there is no file. A last line that does
 * not end, as of a writer that was killed, is none.
 *
 * @param maxBytes What is read at most: of lines that are longer there are fewer.
 */
export async function lastLinesOf(path: string, count: number, maxBytes = 1 << 26): Promise<string[]> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw fromSystem(error, "read", path);
  }
  try {
    return await readBackwards(file, count, maxBytes);
  } catch (error) {
    throw fromSystem(error, "read", path);
  } finally {
    await file.close();
  }
}

/** In UTF-8 no other character has the byte of a line's end in it, so blocks may be cut anywhere. */
async function readBackwards(file: FileHandle, count: number, maxBytes: number): Promise<string[]> {
  const { size } = await file.stat();
  const blocks: Buffer[] = [];
  let ends = 0;
  let start = size;
  while (start > 0 && ends <= count && size - start < maxBytes) {
    const length = Math.min(BLOCK, start);
    const block = Buffer.alloc(length);
    const { bytesRead } = await file.read(block, 0, length, start - length);
    if (bytesRead < length) throw new Error("the file became shorter while it was read");
    for (const byte of block) if (byte === LINE_END) ends += 1;
    blocks.unshift(block);
    start -= length;
  }
  const bytes = Buffer.concat(blocks);
  const last = bytes.lastIndexOf(LINE_END);
  // What stands before the first line's end may be the rest of a line that began further up.
  const first = start === 0 ? 0 : bytes.indexOf(LINE_END) + 1;
  if (last < first) return [];
  return bytes.toString("utf8", first, last).split("\n").slice(-count);
}
