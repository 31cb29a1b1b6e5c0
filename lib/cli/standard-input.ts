import { addAbortSignal, type Readable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import { fromSystem, throwIfAborted } from "../errors/index.js";
import { linesIn } from "../files/index.js";

export function isTerminal(): boolean {
  return process.stdin.isTTY === true;
}

export function standardInput(): Readable {
  return process.stdin;
}

/** Everything up to the end. */
export async function readStandardInput(signal: AbortSignal): Promise<string> {
  try {
    return await readAll(addAbortSignal(signal, standardInput()));
  } catch (error) {
    throwIfAborted(signal);
    throw fromSystem(error, "read", "standard input");
  }
}

/** The lines of a stream of UTF-8, without their ends, as they come. `what` names it in errors. */
export async function* linesOf(stream: Readable, what: string, signal: AbortSignal): AsyncGenerator<string, void> {
  try {
    for await (const line of linesIn(addAbortSignal(signal, stream).setEncoding("utf8"))) yield line.replace(/\r$/, "");
  } catch (error) {
    throwIfAborted(signal);
    throw fromSystem(error, "read", what);
  }
}
