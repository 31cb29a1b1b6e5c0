/** Finds the first stop string in a text that comes in pieces, and holds back what may be the beginning of one. */
export class StopStrings {
  private held = "";
  private done = false;

  /** `stops` are not empty. */
  constructor(private readonly stops: readonly string[]) {}

  /** A stop string is complete: the text ends in front of it. */
  get stopped(): boolean {
    return this.done;
  }

  /** The text that is certain by now. */
  push(piece: string): string {
    if (this.done || piece === "") return "";
    const text = this.held + piece;
    const cut = this.firstMatch(text);
    if (cut !== undefined) {
      this.done = true;
      this.held = "";
      return text.slice(0, cut);
    }
    const safe = text.length - this.longestBeginning(text);
    this.held = text.slice(safe);
    return text.slice(0, safe);
  }

  /** What was held back, when nothing more comes. */
  end(): string {
    const rest = this.held;
    this.held = "";
    return rest;
  }

  /**
   * Where the stop string begins that is complete first, of several the longest: what comes later, and in which pieces,
   * makes no difference.
   */
  private firstMatch(text: string): number | undefined {
    let [start, end] = [0, Number.POSITIVE_INFINITY];
    for (const stop of this.stops) {
      const at = text.indexOf(stop);
      if (at < 0) continue;
      const ends = at + stop.length;
      if (ends < end || (ends === end && at < start)) [start, end] = [at, ends];
    }
    return end === Number.POSITIVE_INFINITY ? undefined : start;
  }

  /** Length of the longest end of `text` that a stop string begins with. */
  private longestBeginning(text: string): number {
    let longest = 0;
    for (const stop of this.stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length -= 1) {
        if (stop.startsWith(text.slice(text.length - length))) longest = length;
      }
    }
    return longest;
  }
}
