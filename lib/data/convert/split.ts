import { VlmR1Error } from "../../errors/index.js";
import { linkedRows } from "../datasets/index.js";
import { drawOf } from "./seeded.js";

export interface SplitRow {
  /** Rows that share one of these stay together: contents of pictures, texts, a group. */
  keys: readonly string[];
  /** Each stratum gives its share. */
  stratum: string;
}

export interface SplitOptions {
  /** Of the rows, that the test set gets; above 0 and below 1. */
  share: number;
  seed: number;
}

/**
 * Chooses about `share` of the rows of every stratum: their numbers, ascending. Whole groups are taken, in an order that
 * depends on the seed and on each group's own content, as long as each brings the strata closer to their shares; where
 * every group is too large for that, the smallest. Throws `ERR_DATA` where nothing can be held out.
 */
export function splitRows(rows: readonly SplitRow[], { share, seed }: SplitOptions): number[] {
  const groups = linkedRows(rows.map(({ keys }) => keys));
  if (groups.length < 2) throw nothingToHoldOut(rows.length);
  const order = groups
    .map((group) => ({ group, counts: countStrata(group, rows), drawn: drawOf(seed, "split", contentOf(group, rows)) }))
    .sort((a, b) => a.drawn - b.drawn);
  const missing = sharesOf(rows, share);
  const taken: number[] = [];
  for (const { group, counts } of order) {
    if (taken.length + group.length < rows.length && bringsCloser(counts, missing)) take(group, counts, missing, taken);
  }
  if (taken.length === 0) {
    const [smallest] = [...order].sort((a, b) => a.group.length - b.group.length);
    if (smallest !== undefined) take(smallest.group, smallest.counts, missing, taken);
  }
  return taken.sort((a, b) => a - b);
}

type Counts = Map<string, number>;

function take(group: readonly number[], counts: Counts, missing: Counts, taken: number[]): void {
  taken.push(...group);
  for (const [stratum, count] of counts) missing.set(stratum, (missing.get(stratum) ?? 0) - count);
}

/** The least of a group's keys: the order of its rows does not matter. */
function contentOf(group: readonly number[], rows: readonly SplitRow[]): string {
  const keys = group.flatMap((row) => rows[row]?.keys ?? []);
  return keys.sort()[0] ?? "";
}

function countStrata(group: readonly number[], rows: readonly SplitRow[]): Counts {
  const counts: Counts = new Map();
  for (const row of group) {
    const stratum = rows[row]?.stratum ?? "";
    counts.set(stratum, (counts.get(stratum) ?? 0) + 1);
  }
  return counts;
}

/** Rows that each stratum is to give, rounded so that their sum is the share of the whole, and one at least. */
function sharesOf(rows: readonly SplitRow[], share: number): Counts {
  const sizes = countStrata([...rows.keys()], rows);
  const wanted = Math.min(Math.max(1, Math.round(rows.length * share)), rows.length - 1);
  const exact = (size: number) => (size * wanted) / rows.length;
  const shares: Counts = new Map([...sizes].map(([stratum, size]) => [stratum, Math.floor(exact(size))]));
  const rest = wanted - [...shares.values()].reduce((a, b) => a + b, 0);
  const byRemainder = [...sizes]
    .map(([stratum, size]) => ({ stratum, remainder: exact(size) % 1 }))
    .sort((a, b) => b.remainder - a.remainder || (a.stratum < b.stratum ? -1 : 1));
  for (const { stratum } of byRemainder.slice(0, rest)) shares.set(stratum, (shares.get(stratum) ?? 0) + 1);
  return shares;
}

function bringsCloser(counts: Counts, missing: Counts): boolean {
  let change = 0;
  for (const [stratum, count] of counts) {
    const before = missing.get(stratum) ?? 0;
    change += Math.abs(before - count) - Math.abs(before);
  }
  return change < 0;
}

function nothingToHoldOut(rows: number): VlmR1Error {
  const why = rows === 1 ? "there is one row" : `all ${rows} rows share pictures, texts or the group's column`;
  return new VlmR1Error("ERR_DATA", `test_split: no row can be held out: ${why}`, {
    hint: "Rows with the same picture stay together; take another column for --group, or none.",
  });
}

const TEST = new Set(["test", "testing", "val", "valid", "validation", "dev", "eval", "held-out"]);
const TRAIN = new Set(["train", "training"]);

/**
 * The rows that a column puts into the test set, and those of the training set that must go because they share a key
 * with it. Throws `ERR_DATA` for values that name neither set, or where one of the two is empty.
 */
export function splitByColumn(
  rows: readonly { keys: readonly string[]; set: string }[],
  column: string,
): { test: number[]; leaked: number[] } {
  const values = rows.map(({ set }) => set.trim().toLowerCase());
  const strange = [...new Set(values.filter((value) => !TEST.has(value) && !TRAIN.has(value)))];
  if (strange.length > 0) {
    const shown = strange
      .slice(0, 5)
      .map((value) => JSON.stringify(value))
      .join(", ");
    throw new VlmR1Error("ERR_DATA", `split_column: ${column} has ${shown}, which name no set`, {
      hint: `Sets are ${[...TRAIN].join(", ")} and ${[...TEST].join(", ")}. For a share take --test-split.`,
    });
  }
  const test = [...rows.keys()].filter((row) => TEST.has(values[row] as string));
  const held = new Set(test.flatMap((row) => rows[row]?.keys ?? []));
  const leaked = [...rows.keys()].filter(
    (row) => TRAIN.has(values[row] as string) && rows[row]?.keys.some((key) => held.has(key)),
  );
  if (test.length > 0 && test.length + leaked.length < rows.length) return { test, leaked };
  const empty = test.length === 0 ? "test" : "training";
  throw new VlmR1Error("ERR_DATA", `split_column: ${column} leaves no row for the ${empty} set`);
}
