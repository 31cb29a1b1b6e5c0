import { permutation } from "../data/random.js";
import { VlmR1Error } from "../errors/index.js";

/** How several data files share an epoch; without either every epoch mixes all rows. */
export interface FileMix {
  /** Shares of an epoch's draws, one per file, of any sum; 0 leaves a file out. */
  weights?: readonly number[] | undefined;
  /** One file after another. */
  curriculum?: boolean | undefined;
}

export interface DataOrderOptions extends FileMix {
  /** Rows of each data file; the data set holds them one file after another. */
  files: readonly number[];
  seed: number;
  shuffle: boolean;
}

/** A row's place in the run. */
export interface Place {
  /** Index into the data set. */
  row: number;
  epoch: number;
  /** How many times its file was gone through before: the epoch, unless files are weighted. */
  pass: number;
  /** How many rows the run took before this one: names the row's random stream. */
  position: number;
}

interface EpochOrder {
  rows: Uint32Array;
  /** Of each row; undefined where all are the epoch. */
  passes?: Float64Array;
}

/**
 * Keep the orders of mixed files apart from other random numbers of the same seed: these are no numbers of epochs or
 * rows.
 */
const INTERLEAVING = 2 ** 48;
const IN_FILE = 2 ** 48 + 1;

/**
 * Which rows a run takes. Every epoch has an order of its own, computed from (seed, epoch), and epochs follow one
 * another without a gap: what is taken depends on the position in the run alone, which is all that a resumed run needs.
 *
 * An epoch is as many draws as there are rows. Without weights it takes each row once. With weights a file gets its
 * share of the draws and is gone through in an order of its own, across epochs: none of its rows comes twice before all
 * have come once.
 */
export class DataOrder {
  /** Of all files: the draws of an epoch. */
  readonly rows: number;
  private readonly offsets: readonly number[];
  /** Of each file in an epoch; undefined without weights. */
  private readonly draws: readonly number[] | undefined;
  private cached: { epoch: number; order: EpochOrder } | undefined;
  /** By file: the pass that it was last asked for. */
  private readonly passes = new Map<number, { pass: number; order: Uint32Array }>();

  /** Throws `ERR_CONFIG` for a mix that does not fit the files, `ERR_DATA` where there is nothing to take. */
  constructor(private readonly options: DataOrderOptions) {
    const { files, weights } = options;
    checkMix(files.length, options);
    this.rows = sum(files);
    if (this.rows === 0) throw new VlmR1Error("ERR_DATA", "expected at least one row to take, got none");
    this.offsets = files.map((_, file) => sum(files.slice(0, file)));
    this.draws = weights === undefined ? undefined : drawsOf(files, weights);
  }

  /** Rows in `epochs` passes over the data, which may be a fraction: where such a run ends. */
  endOf(epochs: number): number {
    return Math.max(1, Math.round(this.rows * epochs));
  }

  /** `count` places from `position` on, fewer where the run ends before, at `end`. */
  take(position: number, count: number, end = Number.POSITIVE_INFINITY): Place[] {
    const taken = Math.max(0, Math.min(count, end - position));
    return Array.from({ length: taken }, (_, index) => this.at(position + index));
  }

  at(position: number): Place {
    const epoch = Math.floor(position / this.rows);
    const index = position % this.rows;
    const { rows, passes } = this.orderOf(epoch);
    return { row: rows[index] as number, epoch, pass: passes?.[index] ?? epoch, position };
  }

  private orderOf(epoch: number): EpochOrder {
    if (this.cached?.epoch !== epoch) this.cached = { epoch, order: this.computeOrder(epoch) };
    return this.cached.order;
  }

  private computeOrder(epoch: number): EpochOrder {
    const { files, seed, shuffle, curriculum = false } = this.options;
    if (this.draws !== undefined) return this.weighted(epoch, this.draws);
    if (!shuffle) return { rows: ascending(this.rows) };
    if (curriculum && files.length > 1) return { rows: this.fileAfterFile(epoch) };
    return { rows: permutation(this.rows, seed, epoch) };
  }

  private fileAfterFile(epoch: number): Uint32Array {
    const { files } = this.options;
    const rows = new Uint32Array(this.rows);
    for (const file of files.keys()) {
      const offset = this.offsets[file] as number;
      rows.set(
        this.orderInFile(file, epoch).map((row) => row + offset),
        offset,
      );
    }
    return rows;
  }

  private weighted(epoch: number, draws: readonly number[]): EpochOrder {
    const { files } = this.options;
    const rows = new Uint32Array(this.rows);
    const passes = new Float64Array(this.rows);
    const taken = draws.map((count) => count * epoch);
    for (const [index, file] of this.interleaved(epoch, draws).entries()) {
      const drawn = taken[file] as number;
      taken[file] = drawn + 1;
      const length = files[file] as number;
      const pass = Math.floor(drawn / length);
      rows[index] = (this.offsets[file] as number) + (this.orderInFile(file, pass)[drawn % length] as number);
      passes[index] = pass;
    }
    return { rows, passes };
  }

  /** The file of each draw of an epoch. */
  private interleaved(epoch: number, draws: readonly number[]): Uint32Array {
    const { seed, shuffle } = this.options;
    if (!shuffle) return spreadEvenly(draws);
    const filesOfDraws = Uint32Array.from(draws.flatMap((count, file) => new Array<number>(count).fill(file)));
    return permutation(this.rows, seed, INTERLEAVING, epoch).map((draw) => filesOfDraws[draw] as number);
  }

  private orderInFile(file: number, pass: number): Uint32Array {
    const { files, seed, shuffle } = this.options;
    const known = this.passes.get(file);
    if (known?.pass === pass) return known.order;
    const length = files[file] as number;
    const order = shuffle ? permutation(length, seed, IN_FILE, pass, file) : ascending(length);
    this.passes.set(file, { pass, order });
    return order;
  }
}

/** Throws `ERR_CONFIG` for weights that do not fit the number of files, or that contradict a curriculum. */
export function checkMix(files: number, { weights, curriculum = false }: FileMix): void {
  if (weights === undefined) return;
  if (curriculum) {
    throw new VlmR1Error("ERR_CONFIG", "dataset_weights and curriculum are both given", {
      hint: "Weights mix the data files, a curriculum takes one after another: give one of them.",
    });
  }
  if (weights.length !== files) {
    throw new VlmR1Error("ERR_CONFIG", `dataset_weights: expected one per data file (${files}), got ${weights.length}`);
  }
  const wrong = weights.find((weight) => !(weight >= 0 && Number.isFinite(weight)));
  if (wrong !== undefined) {
    throw new VlmR1Error("ERR_CONFIG", `dataset_weights: expected numbers of at least 0, got ${wrong}`);
  }
  if (weights.every((weight) => weight === 0)) {
    throw new VlmR1Error("ERR_CONFIG", "dataset_weights: expected at least one above 0, got zeros only");
  }
}

/** Shares of an epoch in whole draws: what rounding down leaves goes to the largest remainders. */
function drawsOf(files: readonly number[], weights: readonly number[]): number[] {
  const rows = sum(files);
  const largest = Math.max(...weights);
  const scaled = weights.map((weight) => weight / largest);
  const exact = scaled.map((weight) => (rows * weight) / sum(scaled));
  const draws = exact.map(Math.floor);
  const remainder = (file: number) => (exact[file] as number) - (draws[file] as number);
  const byRemainder = [...files.keys()].sort((a, b) => remainder(b) - remainder(a) || a - b);
  const more = new Set(byRemainder.slice(0, rows - sum(draws)));
  const whole = draws.map((count, file) => count + Number(more.has(file)));
  for (const [file, weight] of weights.entries()) checkShare(file, weight, whole[file] as number, files);
  return whole;
}

function checkShare(file: number, weight: number, draws: number, files: readonly number[]): void {
  if (weight > 0 && files[file] === 0) {
    throw new VlmR1Error(
      "ERR_DATA",
      `dataset_weights: file ${file + 1} has no rows to take, and a weight of ${weight}`,
      {
        hint: "Give it a weight of 0, or leave the file out.",
      },
    );
  }
  if (weight > 0 && draws === 0) {
    throw new VlmR1Error(
      "ERR_CONFIG",
      `dataset_weights: with a weight of ${weight} file ${file + 1} gets none of the ${sum(files)} draws of an epoch`,
      { hint: "Give it a greater weight, or 0 to leave it out." },
    );
  }
}

/** Draw j of d of a file stands at (j + ½) / d of the epoch; of several that stand together the first file goes first. */
function spreadEvenly(draws: readonly number[]): Uint32Array {
  const next = draws.map(() => 0);
  const place = (file: number) => ((next[file] as number) + 0.5) / (draws[file] as number);
  const left = (file: number) => (next[file] as number) < (draws[file] as number);
  return Uint32Array.from({ length: sum(draws) }, () => {
    const first = [...draws.keys()].filter(left).reduce((a, b) => (place(b) < place(a) ? b : a));
    next[first] = (next[first] as number) + 1;
    return first;
  });
}

function ascending(length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, index) => index);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
