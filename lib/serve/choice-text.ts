import type { Tokenizer } from "../processing/index.js";
import { StopStrings } from "./stop-strings.js";

/** A token of an answer, in OpenAI's form. */
export interface TokenLogprob {
  token: string;
  logprob: number;
  /** UTF-8, where the token is a part of a character that part; null where the vocabulary does not say. */
  bytes: number[] | null;
  top_logprobs: never[];
}

/** What there is of an answer since the last time. */
export interface Delta {
  text: string;
  logprobs: TokenLogprob[];
}

type TextTokenizer = Pick<Tokenizer, "stream" | "decode" | "bytes" | "isSpecial">;

/** OpenAI's for what is next to impossible: JSON has no infinity. */
const LEAST_LOGPROB = -9999;

/** Makes the text of one answer from its tokens: whole characters, cut in front of the first stop string. */
export class ChoiceText {
  private readonly decoder;
  private readonly stops: StopStrings;
  /** Characters that were decoded, and those that were given away. */
  private decoded = 0;
  private given = 0;
  private ready = "";
  private waiting: { start: number; entry: TokenLogprob }[] = [];

  constructor(
    private readonly tokenizer: TextTokenizer,
    stops: readonly string[],
    private readonly wantsLogprobs: boolean,
  ) {
    this.decoder = tokenizer.stream({ skipSpecialTokens: true });
    this.stops = new StopStrings(stops);
  }

  /** A stop string was written: the answer is over. */
  get stopped(): boolean {
    return this.stops.stopped;
  }

  push(token: number, logProb: number): void {
    if (this.stopped) return;
    if (this.wantsLogprobs && !this.tokenizer.isSpecial(token)) {
      this.waiting.push({ start: this.decoded, entry: this.entryOf(token, logProb) });
    }
    this.add(this.decoder.push(token));
  }

  /** No more tokens come: what was held back is text. */
  end(): void {
    if (this.stopped) return;
    this.add(this.decoder.end());
    if (!this.stopped) this.ready += this.stops.end();
  }

  /** The text since the last call with its tokens; `last`: also tokens that never made a whole character. */
  take(last = false): Delta {
    const text = this.ready;
    this.ready = "";
    this.given += text.length;
    // A token belongs to the text where its own begins: behind a stop string's beginning there is none.
    const counts = ({ start }: { start: number }) => start < this.given || (last && !this.stopped);
    const logprobs = this.waiting.filter(counts).map(({ entry }) => entry);
    this.waiting = this.waiting.filter((item) => !counts(item));
    return { text, logprobs };
  }

  private add(piece: string): void {
    this.decoded += piece.length;
    this.ready += this.stops.push(piece);
  }

  private entryOf(token: number, logProb: number): TokenLogprob {
    const bytes = this.tokenizer.bytes(token);
    return {
      token: this.tokenizer.decode([token]),
      logprob: Math.max(LEAST_LOGPROB, logProb),
      bytes: bytes === undefined ? null : [...bytes],
      top_logprobs: [],
    };
  }
}
