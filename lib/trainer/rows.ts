import type { Row } from "../data/datasets/index.js";
import { type EncodedRow, encodeRows } from "../data/encode-rows.js";
import { RandomStream } from "../data/random.js";
import { VlmR1Error } from "../errors/index.js";
import { augmentPicture } from "../processing/augment.js";
import type { Processor } from "../processing/index.js";
import type { Place } from "./data-order.js";
import type { StepContext } from "./objective.js";

export interface PlacedRow extends EncodedRow {
  place: Place;
}

export interface RowSourceOptions {
  promptSuffix: string;
  maxPromptTokens: number;
  seed: number;
  augment: boolean;
  alpha: "white" | "drop";
}

type Encoded = Awaited<ReturnType<typeof encodeRows>>;

/** Steps in a row in which no row could be used, before the run is stopped. */
const PATIENCE = 10;
export const NAMED_ABOVE = "The warnings above name the rows and what is wrong with them.";

/** Gives each step its rows, ready for the engine; bad ones are left out, named once and counted. */
export class RowSource {
  private readonly told = new Set<string>();
  /** By position in the run: rows that are being read ahead. */
  private readonly ahead = new Map<number, Promise<Encoded>>();
  private emptySteps = 0;
  /** Rows of the data set, by number, that could not be used when they were last met. */
  private readonly bad = new Set<number>();

  constructor(
    private readonly rows: readonly Row[],
    private readonly processor: Processor,
    private readonly options: RowSourceOptions,
  ) {}

  async take(places: readonly Place[], context: StepContext): Promise<PlacedRow[]> {
    const results = await Promise.all(
      places.map((place) => this.ahead.get(place.position) ?? this.encode(place, context.signal)),
    );
    this.forget(places);
    const taken: PlacedRow[] = [];
    for (const [index, { encoded, failures }] of results.entries()) {
      const place = places[index] as Place;
      for (const { row, message } of failures) this.tell(row, message, context);
      if (encoded[0] === undefined) {
        this.bad.add(place.row);
      } else {
        this.bad.delete(place.row);
        taken.push({ ...encoded[0], place });
      }
    }
    this.checkEmpty(taken.length, places.length);
    return taken;
  }

  /** Reads rows ahead of their step. What goes wrong with them is told when they are taken. */
  prefetch(places: readonly Place[]): void {
    for (const place of places) {
      if (this.ahead.has(place.position)) continue;
      const encoding = this.encode(place, undefined);
      encoding.catch(() => undefined);
      this.ahead.set(place.position, encoding);
    }
  }

  /** What was read ahead of these places, or for them, will not be asked for any more. */
  private forget(places: readonly Place[]): void {
    const last = places.at(-1)?.position ?? -1;
    for (const position of this.ahead.keys()) if (position <= last) this.ahead.delete(position);
  }

  private encode(place: Place, signal: AbortSignal | undefined): Promise<Encoded> {
    const { promptSuffix, maxPromptTokens, augment } = this.options;
    const replaceImage = augment ? this.augmenter(place) : undefined;
    const row = this.rows[place.row] as Row;
    return encodeRows(this.processor, [row], { promptSuffix, maxPromptTokens, signal, replaceImage });
  }

  /** Random numbers come from (seed, row, pass, picture): the same picture looks new whenever it comes. */
  private augmenter({ row: rowIndex, pass }: Place) {
    return (row: Row, index: number) => {
      const random = new RandomStream(this.options.seed, rowIndex, pass, index);
      const picture = row.images[index] as string;
      const { alpha } = this.options;
      return this.processor.decoding.take(() => augmentPicture(picture, () => random.uniform(), alpha));
    };
  }

  private tell(row: Row, message: string, context: StepContext): void {
    if (this.told.has(row.id)) return;
    this.told.add(row.id);
    context.warn(`row ${row.id} is left out: ${message} (${this.told.size} so far)`);
  }

  private checkEmpty(taken: number, wanted: number): void {
    this.emptySteps = taken === 0 && wanted > 0 ? this.emptySteps + 1 : 0;
    const all = this.bad.size === this.rows.length;
    if (this.emptySteps < PATIENCE && !all) return;
    const which = all ? `the ${this.rows.length} rows` : `the rows of the last ${PATIENCE} steps`;
    throw new VlmR1Error("ERR_DATA", `none of ${which} could be used`, { hint: NAMED_ABOVE });
  }
}
