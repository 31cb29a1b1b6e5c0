import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { isTerminal, linesOf, standardInput } from "./standard-input.js";

/** Where a chat's lines come from. */
export interface ChatInput {
  /** Somebody sits in front of it, and sees prompts. */
  readonly interactive: boolean;
  /** The next line; undefined at the end. */
  next(prompt: string): Promise<string | undefined>;
  /** What Ctrl-C does from now on. */
  onInterrupt(listener: () => void): void;
  close(): void;
}

/** A terminal with line editing where there is one, else the lines of standard input. */
export function openChatInput(signal: AbortSignal): ChatInput {
  if (isTerminal() && process.stdout.isTTY === true) return terminalInput(standardInput(), process.stdout, signal);
  const lines = linesOf(standardInput(), "standard input", signal);
  return {
    interactive: false,
    next: async () => (await lines.next()).value ?? undefined,
    onInterrupt: () => {},
    // A pipe that stays open must not keep the program.
    close: () => void lines.return(),
  };
}

/**
 * In raw mode Ctrl-C is a key and no signal, so it can mean one thing during an answer and another at the prompt. Lines
 * that are written during an answer wait for their turn.
 */
export function terminalInput(input: Readable, output: Writable, signal: AbortSignal): ChatInput {
  const terminal: Interface = createInterface({ input, output, terminal: true, historySize: 1000 });
  const waiting: string[] = [];
  let ended = false;
  let interrupt = () => {};
  let wake = () => {};
  const end = () => {
    ended = true;
    wake();
  };
  terminal.on("line", (line) => {
    waiting.push(line);
    wake();
  });
  terminal.on("close", end);
  terminal.on("SIGINT", () => interrupt());
  const close = () => terminal.close();
  signal.addEventListener("abort", close, { once: true });
  return {
    interactive: true,
    async next(prompt) {
      if (waiting.length === 0 && !ended) {
        terminal.setPrompt(prompt);
        terminal.prompt();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return waiting.shift();
    },
    onInterrupt(listener) {
      interrupt = listener;
    },
    close() {
      signal.removeEventListener("abort", close);
      terminal.close();
    },
  };
}
