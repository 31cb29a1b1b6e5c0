import type { CliContext } from "./context.js";

/** One line of JSON on stdout. */
export function printJson(context: CliContext, value: unknown): void {
  context.stdout.write(`${JSON.stringify(value)}\n`);
}

/** A line that is written over again and again on a terminal, and not at all elsewhere. */
export class StatusLine {
  private shown = false;

  constructor(private readonly context: CliContext) {}

  show(text: string): void {
    if (this.context.stderr.isTTY !== true) return;
    this.context.stderr.write(`\r\x1b[2K${text.slice(0, (this.context.stderr.columns || 80) - 1)}`);
    this.shown = true;
  }

  clear(): void {
    if (this.shown) this.context.stderr.write("\r\x1b[2K");
    this.shown = false;
  }
}

/** On one line, and with nothing in it that colours a terminal or moves its cursor: what others sent, for a log. */
export function escaped(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, codePoint);
}

/**
 * Writes what a model said. A terminal does what control characters tell it, so they are shown there; a pipe or a file
 * gets the text as it is.
 */
export function writeAnswer({ stdout }: CliContext, text: string): void {
  stdout.write(stdout.isTTY === true ? text.replace(COMMANDING, codePoint) : text);
}

/** Line ends and tabs are text; marks that turn the direction of what follows show another text than there is. */
const COMMANDING = /(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;

function codePoint(sign: string): string {
  return `\\u{${sign.codePointAt(0)!.toString(16)}}`;
}

export function warn(context: CliContext, message: string): void {
  context.stderr.write(`warning: ${message}\n`);
}

/** A word as a shell reads it back. */
export function shellQuote(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
