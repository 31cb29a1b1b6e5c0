const QUOTES = '"""';

/**
 * Makes messages of lines: a line is one, unless it ends in a backslash, which joins the next to it, or begins with
 * `"""`, which joins all up to the one that ends so.
 */
export class MessageLines {
  private lines: string[] = [];
  private quoted = false;

  /** More lines are to come before there is a message. */
  get unfinished(): boolean {
    return this.lines.length > 0;
  }

  /** The message that ends with this line; undefined where it goes on. */
  push(line: string): string | undefined {
    if (this.quoted) return this.pushQuoted(line);
    if (this.lines.length === 0 && line.startsWith(QUOTES)) {
      this.quoted = true;
      return this.pushQuoted(line.slice(QUOTES.length));
    }
    if (line.endsWith("\\")) {
      this.lines.push(line.slice(0, -1));
      return undefined;
    }
    return this.take(line);
  }

  /** What there is when no more lines come. */
  end(): string | undefined {
    return this.unfinished ? this.take() : undefined;
  }

  /** Forgets the lines of a message that was given up. */
  drop(): void {
    this.take();
  }

  private pushQuoted(line: string): string | undefined {
    if (line.trimEnd().endsWith(QUOTES)) return this.take(line.trimEnd().slice(0, -QUOTES.length));
    this.lines.push(line);
    return undefined;
  }

  private take(...last: string[]): string {
    const text = [...this.lines, ...last].join("\n");
    // The quotes may stand on lines of their own, which are no part of the text.
    const message = this.quoted ? text.replace(/^\n/, "").replace(/\n$/, "") : text;
    this.lines = [];
    this.quoted = false;
    return message;
  }
}
