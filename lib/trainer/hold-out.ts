import { permutation } from "../data/random.js";
import { VlmR1Error } from "../errors/index.js";

export interface HoldOutOptions {
  /** Rows that must stay on one side together; every row is in one group. */
  groups: readonly (readonly number[])[];
  /** Rows of each data file, in the order of the rows' numbers. */
  files: readonly number[];
  /** Above 0 and below 1. */
  ratio: number;
  seed: number;
}

/** Keeps the choice apart from other random numbers of the same seed: no number of an epoch or a row. */
const HELD_OUT = 2 ** 48 + 2;

/**
 * Chooses about `ratio` of every file's rows: their numbers, ascending. Whole groups are taken, in an order that the
 * seed gives, as long as each brings the files closer to their shares; where every group is too large for that, the
 * smallest. Every file keeps at least one row. Throws `ERR_DATA` where nothing can be held out so.
 */
export function holdOut({ groups, files, ratio, seed }: HoldOutOptions): number[] {
  const fileOf = files.flatMap((count, file) => new Array<number>(count).fill(file));
  const missing = sharesOf(files, ratio);
  const left = [...files];
  const order = permutation(groups.length, seed, HELD_OUT);
  const counts = groups.map((group) => countByFile(group, fileOf));
  const leavesSome = (group: number) =>
    forAll(counts[group] as Counts, (file, count) => (left[file] as number) > count);
  const held: number[] = [];
  const take = (group: number) => {
    for (const [file, count] of counts[group] as Counts) {
      missing[file] = (missing[file] as number) - count;
      left[file] = (left[file] as number) - count;
    }
    for (const row of groups[group] as readonly number[]) held.push(row);
  };
  for (const group of order) {
    if (bringsCloser(counts[group] as Counts, missing) && leavesSome(group)) take(group);
  }
  if (held.length === 0) {
    const size = (group: number) => groups[group]?.length ?? 0;
    const smallest = [...order].filter(leavesSome).sort((a, b) => size(a) - size(b))[0];
    if (smallest === undefined) throw nothingToHoldOut(groups.length, fileOf.length, files.length);
    take(smallest);
  }
  return held.sort((a, b) => a - b);
}

/** By file. */
type Counts = ReadonlyMap<number, number>;

function countByFile(group: readonly number[], fileOf: readonly number[]): Counts {
  const counts = new Map<number, number>();
  for (const row of group) {
    const file = fileOf[row] as number;
    counts.set(file, (counts.get(file) ?? 0) + 1);
  }
  return counts;
}

/** Rows to hold out of each file: at least one of all, rounded so that their sum is the share of the whole. */
function sharesOf(files: readonly number[], ratio: number): number[] {
  const all = files.reduce((sum, count) => sum + count, 0);
  const wanted = Math.min(Math.max(1, Math.round(all * ratio)), all - 1);
  const shares = files.map((count) => Math.floor((count * wanted) / all));
  const remainder = (file: number) => ((files[file] as number) * wanted) % all;
  const byRemainder = [...files.keys()].sort((a, b) => remainder(b) - remainder(a) || a - b);
  const rest = wanted - shares.reduce((sum, share) => sum + share, 0);
  for (const file of byRemainder.slice(0, Math.max(0, rest))) shares[file] = (shares[file] as number) + 1;
  return shares;
}

function bringsCloser(counts: Counts, missing: readonly number[]): boolean {
  let change = 0;
  for (const [file, count] of counts) {
    const before = missing[file] as number;
    change += Math.abs(before - count) - Math.abs(before);
  }
  return change < 0;
}

function forAll(counts: Counts, holds: (file: number, count: number) => boolean): boolean {
  for (const [file, count] of counts) if (!holds(file, count)) return false;
  return true;
}

function nothingToHoldOut(groups: number, rows: number, files: number): VlmR1Error {
  const why =
    rows === 1
      ? "there is one row"
      : `${rows} rows of ${files === 1 ? "one file" : `${files} files`} are ${groups} ${groups === 1 ? "group" : "groups"} that share pictures or questions, and each file must keep a row to learn from`;
  return new VlmR1Error("ERR_DATA", `val_split_ratio: no row can be held out: ${why}`, {
    hint: "Give the held-out questions as eval_dataset.",
  });
}
