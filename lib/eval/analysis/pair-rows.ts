import { linkedRows } from "../../data/datasets/index.js";
import { VlmR1Error } from "../../errors/index.js";
import type { EvaluationRecord, RecordedAnswer } from "../record.js";
import { groupBy } from "./by-class.js";

/** A row that both evaluations have, with its answers in their order. */
export interface PairedRow {
  id: string;
  first: RecordedAnswer[];
  second: RecordedAnswer[];
}

export interface PairedRows {
  /** In the order of the first evaluation. */
  rows: PairedRow[];
  /** Ids of rows that the other evaluation does not have. */
  onlyFirst: string[];
  onlySecond: string[];
}

/** Throws `ERR_DATA` where the two are of different data: no row in common, or other solutions of the same rows. */
export function pairRows(first: EvaluationRecord, second: EvaluationRecord): PairedRows {
  const [before, after] = [answersById(first), answersById(second)];
  const rows: PairedRow[] = [];
  for (const [id, own] of before) {
    const other = after.get(id);
    if (other !== undefined) rows.push({ id, first: own, second: other });
  }
  if (rows.length === 0) {
    const [one, two] = [before.keys().next().value, after.keys().next().value];
    const message = `the two have no row in common: one has ${JSON.stringify(one)}, the other ${JSON.stringify(two)} …`;
    throw new VlmR1Error("ERR_DATA", message, { hint: "Compare evaluations of the same data set." });
  }
  checkSolutions(rows);
  return {
    rows,
    onlyFirst: [...before.keys()].filter((id) => !after.has(id)),
    onlySecond: [...after.keys()].filter((id) => !before.has(id)),
  };
}

function answersById({ answers }: EvaluationRecord): Map<string, RecordedAnswer[]> {
  return groupBy(answers, ({ id }) => id);
}

function checkSolutions(rows: readonly PairedRow[]): void {
  const solutionOf = ([answer]: readonly RecordedAnswer[]) => answer?.solution;
  const other = rows.filter(({ first, second }) => solutionOf(first) !== solutionOf(second));
  const [example] = other;
  if (example === undefined) return;
  const { id, first, second } = example;
  const solutions = `${JSON.stringify(solutionOf(first))} and ${JSON.stringify(solutionOf(second))}`;
  throw new VlmR1Error(
    "ERR_DATA",
    `${other.length} of ${rows.length} rows expect another answer in the other evaluation: ${id} expects ${solutions}`,
    { hint: "The same ids name other rows: compare evaluations of the same data set." },
  );
}

/**
 * The number of each row's cluster. Rows that share a picture, directly or through others, are one: they are not
 * independent. A row without pictures is one alone.
 */
export function pictureClusters(rows: readonly PairedRow[]): number[] {
  const keys = rows.map(({ id, first: [answer] }) => {
    const images = answer?.images ?? [];
    return images.length === 0 ? [`row ${id}`] : images.map((path) => `picture ${path}`);
  });
  const clusters = new Array<number>(rows.length);
  for (const [cluster, group] of linkedRows(keys).entries()) for (const row of group) clusters[row] = cluster;
  return clusters;
}
