import type { ChangedRow, ClassComparison, Comparison, ScoreComparison } from "../eval/index.js";
import { columnsOf, excerpt, formatChange, formatPercent, formatTable, padColumns } from "../report/format.js";
import { expectedAnswer } from "../rewards/answer.js";
import { rest } from "./analysis-text.js";
import { shownNames } from "./shared-units.js";

export interface ComparisonTextOptions {
  /** Classes, and rows that got better and worse, that are shown. */
  top: number;
  resamples: number;
}

/** A comparison as lines for people: scores, classes, rows. */
export function comparisonLines(comparison: Comparison, { top, resamples }: ComparisonTextOptions): string[] {
  const { scores, labels, classes, improved, worsened } = comparison;
  return [
    ...formatTable([["", ...labels, "change", "95 %", "higher", "p"], ...scores.map(scoreRow)]),
    basis(comparison, resamples),
    ...(top === 0 ? [] : ["", ...classLines(classes, labels, top)]),
    ...rowLines("better", improved, labels, top),
    ...rowLines("worse", worsened, labels, top),
  ];
}

function scoreRow({ name, unit, first, second, difference, probabilityHigher, pValue }: ScoreComparison): string[] {
  const text = (value: number) => (unit === "share" ? formatPercent(value) : value.toFixed(3));
  return [
    name === "reward" ? "mean reward" : name.startsWith("rewards/") ? `  ${name.slice("rewards/".length)}` : name,
    text(first),
    text(second),
    formatChange(difference.value, text),
    `${formatChange(difference.low, text)} … ${formatChange(difference.high, text)}`,
    formatPercent(probabilityHigher),
    pValue < 0.001 ? "< 0.001" : pValue.toFixed(3),
  ];
}

/** Of fewer groups than this the bootstrap's interval of 95 % may hold the truth in fewer than 95 of 100 cases. */
const FEW = 20;

function basis({ rows, clusters }: Comparison, resamples: number): string {
  const drawn = clusters === rows ? "" : `, drawn in ${clusters} groups that share a picture`;
  const few = clusters < FEW ? "; so few make the intervals too narrow" : "";
  return `${rows} ${rows === 1 ? "row" : "rows"}${drawn}; ${resamples} resamples${few}`;
}

function classLines(classes: readonly ClassComparison[], labels: readonly [string, string], top: number): string[] {
  const changed = classes.filter(({ change, nameChange }) => change !== 0 || nameChange !== 0);
  if (changed.length === 0) return ["no class has changed"];
  const { without, show } = shownNames(classes.map(({ name }) => name));
  const head = [`class${without}`, "rows", "reward", "", "right name", ""];
  const below = ["", "", ...labels, ...labels];
  const lines = changed
    .slice(0, top)
    .map(({ name, rows, reward, rightName }) => [
      excerpt(show(name), 40),
      String(rows),
      reward === null ? "–" : reward.first.toFixed(3),
      reward === null ? "–" : reward.second.toFixed(3),
      formatPercent(rightName.first),
      formatPercent(rightName.second),
    ]);
  return [...formatTable([head, below, ...lines]), ...rest(changed.length, top, "classes")];
}

function rowLines(
  what: "better" | "worse",
  rows: readonly ChangedRow[],
  labels: readonly [string, string],
  top: number,
): string[] {
  const shown = onePerPicture(rows).slice(0, top);
  const width = Math.max(...["expected", ...labels].map(columnsOf));
  const count = `${rows.length} ${rows.length === 1 ? "row is" : "rows are"} ${what}`;
  return [
    ...(shown.length === 0 ? [] : [""]),
    rows.length === 0 ? `no row is ${what}` : heading(count, shown.length, rows.length),
    ...shown.flatMap(({ id, question, solution, first, second, difference }) => [
      `${excerpt(id)}  ${formatChange(difference, (value) => value.toFixed(3))}  ${excerpt(question, LINE)}`,
      `  ${padColumns("expected", width)}  ${excerpt(expectedAnswer(solution), LINE)}`,
      `  ${padColumns(labels[0], width)}  ${excerpt(first.completion, LINE)}`,
      `  ${padColumns(labels[1], width)}  ${excerpt(second.completion, LINE)}`,
    ]),
  ];
}

function heading(count: string, shown: number, rows: number): string {
  if (shown === 0) return count;
  return shown === rows ? `${count}:` : `${count}; ${shown} of them:`;
}

/** Of rows that ask about the same picture the first: the others mostly have the same story. */
function onePerPicture(rows: readonly ChangedRow[]): ChangedRow[] {
  const seen = new Set<string>();
  return rows.filter(({ id, images }) => {
    const key = JSON.stringify(images.length === 0 ? id : images);
    return !seen.has(key) && seen.add(key);
  });
}

/** Characters of an answer that are shown. */
const LINE = 160;
