import type { GenerateProgress } from "../engine/index.js";
import type { Tokenizer } from "../processing/index.js";

/** Writes an answer as it is drawn, whole characters at a time. */
export class AnswerWriter {
  private readonly decoder;
  private shown = 0;
  private written = "";

  constructor(
    tokenizer: Tokenizer,
    private readonly write: (text: string) => void,
  ) {
    this.decoder = tokenizer.stream({ skipSpecialTokens: true });
  }

  /** What was written so far. */
  get text(): string {
    return this.written;
  }

  get tokens(): number {
    return this.shown;
  }

  /** For `onProgress` of one completion. */
  readonly report = ({ news }: GenerateProgress): void => this.push(news.map(({ token }) => token));

  /** Ends with all of the completion: reports come now and then, and the last one may be behind the end. */
  finish(tokens: Int32Array): void {
    this.push(tokens.subarray(this.shown));
    this.end();
  }

  /** Ends with what there is. */
  end(): void {
    this.put(this.decoder.end());
  }

  private push(tokens: Iterable<number>): void {
    for (const token of tokens) {
      this.shown += 1;
      this.put(this.decoder.push(token));
    }
  }

  private put(text: string): void {
    if (text === "") return;
    this.written += text;
    this.write(text);
  }
}
