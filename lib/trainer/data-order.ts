import { permutation } from "./random.js";

export interface DataOrderOptions {
  rows: number;
  perStep: number;
  seed: number;
  shuffle: boolean;
}

/** A row's place in the run. */
export interface Place {
  /** Index into the data set. */
  row: number;
  epoch: number;
  /** How many rows the run took before this one: names the row's random stream. */
  position: number;
}

/**
 * Which rows each step takes. Every epoch has an order of its own, computed from (seed, epoch), and steps follow one
 * another through the epochs without a gap; the position in the data is thus the step's number alone.
 */
export class DataOrder {
  private cached: { epoch: number; order: Uint32Array } | undefined;

  constructor(private readonly options: DataOrderOptions) {}

  /** Rows in `epochs` passes over the data, which may be a fraction: where such a run ends. */
  endOf(epochs: number): number {
    return Math.max(1, Math.round(this.options.rows * epochs));
  }

  /** Steps until the position `end`; the last one may be smaller. */
  stepsTo(end: number): number {
    return Math.ceil(end / this.options.perStep);
  }

  /** The rows of a step, from 0. `end`: the run's last position, where a smaller last step stops. */
  placesOf(step: number, end = Number.POSITIVE_INFINITY): Place[] {
    const { rows, perStep } = this.options;
    const first = step * perStep;
    const count = Math.max(0, Math.min(perStep, end - first));
    return Array.from({ length: count }, (_, index) => {
      const position = first + index;
      const epoch = Math.floor(position / rows);
      return { row: this.orderOf(epoch)[position % rows] as number, epoch, position };
    });
  }

  /** Rows from a position on, fewer where the run ends. */
  take(position: number, count: number, end = Number.POSITIVE_INFINITY): Place[] {
    const { rows } = this.options;
    return Array.from({ length: Math.max(0, Math.min(count, end - position)) }, (_, index) => {
      const at = position + index;
      const epoch = Math.floor(at / rows);
      return { row: this.orderOf(epoch)[at % rows] as number, epoch, position: at };
    });
  }

  private orderOf(epoch: number): Uint32Array {
    if (this.cached?.epoch !== epoch) {
      const { rows, seed, shuffle } = this.options;
      const order = shuffle ? permutation(rows, seed, epoch) : Uint32Array.from({ length: rows }, (_, index) => index);
      this.cached = { epoch, order };
    }
    return this.cached.order;
  }
}
