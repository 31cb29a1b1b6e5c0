import type { Columns } from "./page-data.js";

/** Digits that a curve's numbers keep: more cannot be seen, and cost room in a report. */
const DIGITS = 6;
/** Rows that a table holds before it thins itself, as a multiple of those that it is asked for in the end. */
const SLACK = 8;

/**
 * Numbers by step and name, as they are read. It never holds more than some thousands of rows: of a run of millions of
 * steps it keeps, spread over all of them, those where something stands out.
 */
export class MetricTable {
  private steps: number[] = [];
  private columns = new Map<string, number[]>();

  /** @param maxPoints Rows that `thinned` will be asked for, at most. */
  constructor(private readonly maxPoints: number) {}

  get lastStep(): number {
    return this.steps.at(-1) ?? 0;
  }

  /** Steps ascend; of two rows of one step the later one counts, and one that goes back is none. */
  add(step: number, values: Iterable<readonly [string, unknown]>): void {
    if (step < this.lastStep) return;
    if (step !== this.steps.at(-1) || this.steps.length === 0) this.steps.push(step);
    const row = this.steps.length - 1;
    for (const [name, value] of values) {
      const column = this.columns.get(name) ?? [];
      while (column.length < row) column.push(Number.NaN);
      column[row] = typeof value === "number" ? value : Number.NaN;
      this.columns.set(name, column);
    }
    if (this.steps.length >= 2 * SLACK * this.maxPoints) this.keep(this.chosen(SLACK * this.maxPoints));
  }

  /** At most `maxPoints` of its steps; columns without a number are left out. */
  thinned(maxPoints: number): Columns {
    const rows = this.chosen(maxPoints);
    const values: [string, (number | null)[]][] = [];
    for (const [name, column] of this.columns) {
      const own = rows.map((row) => rounded(column[row]));
      if (own.some((value) => value !== null)) values.push([name, own]);
    }
    return { step: rows.map((row) => this.steps[row] as number), values: Object.fromEntries(values) };
  }

  private chosen(count: number): number[] {
    return chooseRows(this.steps, [...this.columns.values()], count);
  }

  private keep(rows: readonly number[]): void {
    this.steps = rows.map((row) => this.steps[row] as number);
    for (const [name, column] of this.columns) {
      this.columns.set(
        name,
        rows.map((row) => column[row] ?? Number.NaN),
      );
    }
  }
}

function rounded(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? Number(value.toPrecision(DIGITS)) : null;
}

/**
 * At most `count` row numbers, ascending: the first and the last row, where each column is highest and lowest, and of
 * every one of as many equal stretches of steps as are left the row in which some column stands out most from that
 * stretch. Real rows, so that every point of a curve is true, and peaks stay. Values that are not finite count as none.
 *
 * @param steps Ascending.
 * @param columns As long as `steps` or shorter.
 */
export function chooseRows(steps: readonly number[], columns: readonly (readonly number[])[], count: number): number[] {
  if (steps.length <= count) return [...steps.keys()];
  const ranges = columns.map(rangeOf);
  const chosen = new Set([0, steps.length - 1]);
  // Half of the rows are for the course of things, however many columns there are.
  for (const { lowest, highest } of ranges) {
    for (const row of [highest, lowest]) if (row >= 0 && chosen.size < count / 2) chosen.add(row);
  }
  for (const [from, to] of stretches(steps, count - chosen.size)) {
    const row = outstanding(from, to, columns, ranges);
    if (chosen.size < count) chosen.add(row);
  }
  return [...chosen].sort((a, b) => a - b);
}

interface Range {
  /** Rows; -1 where there is no number. */
  lowest: number;
  highest: number;
  size: number;
}

function rangeOf(column: readonly number[]): Range {
  let lowest = -1;
  let highest = -1;
  for (const [row, value] of column.entries()) {
    if (!Number.isFinite(value)) continue;
    if (lowest < 0 || value < (column[lowest] as number)) lowest = row;
    if (highest < 0 || value > (column[highest] as number)) highest = row;
  }
  const size = lowest < 0 ? 0 : (column[highest] as number) - (column[lowest] as number);
  return { lowest, highest, size };
}

/** Rows from … to (exclusive) of equal stretches of steps; those without a row are left out. */
function* stretches(steps: readonly number[], count: number): Generator<[number, number]> {
  const first = steps[0] as number;
  const width = ((steps.at(-1) as number) - first) / count;
  let from = 0;
  while (from < steps.length) {
    const stretch = Math.floor(((steps[from] as number) - first) / width);
    let to = from + 1;
    while (to < steps.length && Math.floor(((steps[to] as number) - first) / width) === stretch) to += 1;
    yield [from, to];
    from = to;
  }
}

function outstanding(
  from: number,
  to: number,
  columns: readonly (readonly number[])[],
  ranges: readonly Range[],
): number {
  let best = from;
  let most = 0;
  for (const [index, column] of columns.entries()) {
    const size = ranges[index]?.size ?? 0;
    if (size === 0) continue;
    const own = column.slice(from, to).filter(Number.isFinite);
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    for (let row = from; row < to; row += 1) {
      const distance = Math.abs((column[row] ?? Number.NaN) - mean) / size;
      if (distance > most) {
        most = distance;
        best = row;
      }
    }
  }
  return best;
}
