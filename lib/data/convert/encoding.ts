import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { fromSystem, throwIfAborted, VlmR1Error } from "../../errors/index.js";

/** Beginnings of files that are called .csv and are something else. */
const OTHERS: readonly [string, string, string][] = [
  ["PK\x03\x04", "an Excel workbook or another ZIP file", "Save the sheet as CSV (UTF-8)."],
  ["\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV (UTF-8)."],
  ["PAR1", "a Parquet file", "Give it the ending .parquet, or say --format parquet."],
  ["\x1f\x8b", "compressed with gzip", "Unpack it first."],
];

const MARKS: readonly [string, string][] = [
  ["\xef\xbb\xbf", "utf-8"],
  ["\xff\xfe", "utf-16le"],
  ["\xfe\xff", "utf-16be"],
];

/**
 * How a text file is encoded: by its mark, else UTF-8, else GB18030, of which GBK and GB2312 are parts, where all of it
 * is that. Reads the whole file once or twice. Throws `ERR_DATA` where it is none of them.
 */
export async function detectEncoding(path: string, signal?: AbortSignal): Promise<string> {
  const start = await beginningOf(path);
  const other = OTHERS.find(([mark]) => start.startsWith(mark));
  if (other !== undefined) throw new VlmR1Error("ERR_DATA", `${path}: it is ${other[1]}, not text`, { hint: other[2] });
  const mark = MARKS.find(([bytes]) => start.startsWith(bytes));
  if (mark !== undefined) return mark[1];
  for (const encoding of ["utf-8", "gb18030"]) if (await isAll(path, encoding, signal)) return encoding;
  throw new VlmR1Error("ERR_DATA", `${path}: the text is neither UTF-8 nor GBK`, {
    hint: "Save it as UTF-8, or name its encoding, such as --encoding windows-1252 or utf-16le.",
  });
}

/** As many bytes as the longest mark needs, one character each. */
async function beginningOf(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.subarray(0, bytesRead).toString("latin1");
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fromSystem(error, "read", path);
  }
}

async function isAll(path: string, encoding: string, signal: AbortSignal | undefined): Promise<boolean> {
  const decoder = new TextDecoder(encoding, { fatal: true });
  try {
    for await (const chunk of createReadStream(path)) {
      throwIfAborted(signal);
      // A text has no zero bytes in these encodings; what has them is another kind of file.
      if ((chunk as Buffer).includes(0)) return false;
      decoder.decode(chunk as Buffer, { stream: true });
    }
    decoder.decode();
    return true;
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof TypeError) return false;
    throw fromSystem(error, "read", path);
  }
}

/** Throws `ERR_CONFIG` for a name that is no encoding. */
export function checkEncoding(name: string): void {
  try {
    new TextDecoder(name);
  } catch {
    throw new VlmR1Error("ERR_CONFIG", `encoding: "${name}" is not known`, {
      hint: "Names are those of web pages: utf-8, gbk, gb18030, big5, shift_jis, windows-1252, utf-16le …",
    });
  }
}

/** The text of a file in pieces, without its mark. */
export async function* decodeFile(path: string, encoding: string, signal?: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding);
  try {
    for await (const chunk of createReadStream(path)) {
      throwIfAborted(signal);
      const text = decoder.decode(chunk as Buffer, { stream: true });
      if (text !== "") yield text;
    }
    const rest = decoder.decode();
    if (rest !== "") yield rest;
  } catch (error) {
    throwIfAborted(signal);
    throw fromSystem(error, "read", path);
  }
}
