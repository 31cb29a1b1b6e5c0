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

export function warn(context: CliContext, message: string): void {
  context.stderr.write(`warning: ${message}\n`);
}

/** A word as a shell reads it back. */
export function shellQuote(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
