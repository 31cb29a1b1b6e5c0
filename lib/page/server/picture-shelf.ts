import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { Turns } from "../../processing/turns.js";
import { type EncodedPicture, encodePicture } from "./encode-picture.js";

/** Pictures of completions that have come by; what is older is not shown any more. */
const MOST_PASSING = 4096;
/** Bytes of encoded pictures that are kept. */
const MOST_CACHED = 32 << 20;

/**
 * The pictures that a page may show, by numbers: a URL names nothing else, so nothing else is ever read. They are made
 * small one at a time, as the run needs the cores.
 */
export class PictureShelf {
  private readonly numbers = new Map<string, number>();
  private readonly paths = new Map<number, string>();
  private readonly passing = new Map<number, string>();
  private readonly cache = new Map<number, EncodedPicture>();
  private cached = 0;
  private next = 0;
  private readonly turns = new Turns(1);

  /** @param mostPassing Pictures of `addPassing` that can be shown, at most. */
  constructor(private readonly mostPassing = MOST_PASSING) {}

  /** The URL of a picture that is shown for as long as the server runs; undefined where there is no such file. */
  async add(path: string): Promise<string | undefined> {
    const number = await this.number(resolve(path));
    if (number !== undefined) this.passing.delete(number);
    return number === undefined ? undefined : urlOf(number);
  }

  /** The same for one of many that come by; it may be gone once thousands have come after it. */
  async addPassing(path: string): Promise<string | undefined> {
    const full = resolve(path);
    const known = this.numbers.get(full);
    const number = known ?? (await this.number(full));
    if (number === undefined) return undefined;
    if (known === undefined || this.passing.delete(number)) this.passing.set(number, full);
    for (const [oldest, itsPath] of this.passing) {
      if (this.passing.size <= this.mostPassing) break;
      this.forget(oldest, itsPath);
    }
    return urlOf(number);
  }

  /** Undefined for a number that is no picture's, and for a file that cannot be shown. */
  async read(number: number): Promise<EncodedPicture | undefined> {
    const path = this.paths.get(number);
    if (path === undefined) return undefined;
    return this.cache.get(number) ?? this.turns.take(() => this.encode(number, path));
  }

  private async number(path: string): Promise<number | undefined> {
    const known = this.numbers.get(path);
    if (known !== undefined) return known;
    const isFile = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    if (!isFile) return undefined;
    // Another call may have looked at the same time.
    const number = this.numbers.get(path) ?? this.next++;
    this.numbers.set(path, number);
    this.paths.set(number, path);
    return number;
  }

  private forget(number: number, path: string): void {
    this.passing.delete(number);
    this.numbers.delete(path);
    this.paths.delete(number);
    this.drop(number);
  }

  private async encode(number: number, path: string): Promise<EncodedPicture | undefined> {
    const known = this.cache.get(number);
    if (known !== undefined) return known;
    const encoded = await encodePicture(path);
    if (encoded === undefined || !this.paths.has(number)) return encoded;
    this.cache.set(number, encoded);
    this.cached += encoded.bytes.length;
    for (const oldest of this.cache.keys()) {
      if (this.cached <= MOST_CACHED) break;
      this.drop(oldest);
    }
    return encoded;
  }

  private drop(number: number): void {
    this.cached -= this.cache.get(number)?.bytes.length ?? 0;
    this.cache.delete(number);
  }
}

function urlOf(number: number): string {
  return `pictures/${number}`;
}
