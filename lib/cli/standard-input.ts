import { addAbortSignal, type Readable } from "node:stream";
import { text as readAll } from "node:stream/consumers";
import { fromSystem, throwIfAborted } from "../errors/index.js";

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
  let rest = "";
  try {
    for await (const piece of addAbortSignal(signal, stream).setEncoding("utf8") as AsyncIterable<string>) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield line.replace(/\r$/, "");
    }
  } catch (error) {
    throwIfAborted(signal);
    throw fromSystem(error, "read", what);
  }
  if (rest !== "") yield rest;
}
