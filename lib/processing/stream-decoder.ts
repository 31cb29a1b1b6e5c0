import type { Tokenizer } from "./tokenizer.js";

/**
 * Turns tokens into text one at a time. A character may be spread over several tokens, so each call returns what is
 * certain by now; `end()` returns the rest. The pieces together are what decoding all tokens at once gives.
 */
export class StreamDecoder {
  private readonly utf8 = newUtf8();
  private readonly pending: number[] = [];
  private shown = "";

  constructor(
    private readonly tokenizer: Pick<Tokenizer, "token" | "isAdded" | "isSpecial" | "decode">,
    private readonly byteLevel: boolean,
    private readonly skipSpecial: boolean,
  ) {}

  push(id: number): string {
    const token = this.tokenizer.token(id);
    if (token === undefined || (this.skipSpecial && this.tokenizer.isSpecial(id))) return "";
    if (!this.byteLevel) return this.pushWhole(id);
    // Added tokens stand for themselves, the others for bytes; an unfinished character ends before an added token.
    if (this.tokenizer.isAdded(id)) return this.utf8.decode() + token;
    return this.utf8.decode(tokenBytes(token), { stream: true });
  }

  /** What is left, incomplete characters as U+FFFD. */
  end(): string {
    if (this.byteLevel) return this.utf8.decode();
    const rest = this.tokenizer.decode(this.pending).slice(this.shown.length);
    this.pending.length = 0;
    this.shown = "";
    return rest;
  }

  /** For decoders that are not byte-level: the growth of the whole text, held back while its end is in doubt. */
  private pushWhole(id: number): string {
    this.pending.push(id);
    const text = this.tokenizer.decode(this.pending);
    if (text.endsWith("\uFFFD") || !text.startsWith(this.shown)) return "";
    const grown = text.slice(this.shown.length);
    this.shown = text;
    return grown;
  }
}

function newUtf8() {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

/** GPT-2's table from the printable characters that stand for bytes in a vocabulary to those bytes. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = byteTable();

function byteTable(): Map<string, number> {
  const table = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return table;
}

/** What a token of a byte-level vocabulary stands for: whole characters, or parts of them. */
export function tokenBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) bytes.push(...new TextEncoder().encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
