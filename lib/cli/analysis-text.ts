import {
  type ClassScores,
  type ConfidenceInterval,
  type ConfusionCount,
  confusions,
  type NumberCalibration,
} from "../eval/index.js";
import { excerpt, formatPercent, formatTable } from "../report/format.js";
import { shownNames } from "./shared-units.js";

/** Lines of the tables that go deeper than the scores; a table that has more than `top` lines is cut. */
export function classLines(classes: readonly ClassScores[], top: number): string[] {
  const { without, show } = shownNames(classes.map(({ name }) => name));
  const head = [`class${without}`, "rows", "reward", "right name", "95 %", "right number", "95 %"];
  const lines = classes
    .slice(0, top)
    .map(({ name, rows, reward, rightName, rightNumber }) => [
      excerpt(show(name), NAME),
      String(rows),
      reward === null ? "–" : reward.toFixed(3),
      formatPercent(rightName.value),
      range(rightName),
      formatPercent(rightNumber.value),
      range(rightNumber),
    ]);
  return [...formatTable([head, ...lines]), ...rest(classes.length, top, "classes")];
}

export function confusionLines(counts: readonly ConfusionCount[], top: number): string[] {
  const wrong = confusions(counts);
  if (wrong.length === 0) return ["no name was confused with another"];
  const { without, show } = shownNames(counts.map(({ expected }) => expected));
  const head = [`expected${without}`, "answered", "answers", "of these"];
  const lines = wrong
    .slice(0, top)
    .map(({ expected, answered, count, share }) => [
      ...confused(expected, answered, show).map((name) => excerpt(name, NAME)),
      String(count),
      formatPercent(share),
    ]);
  return [...formatTable([head, ...lines]), ...rest(wrong.length, top, "confusions")];
}

/** Names that differ in their units alone keep these. */
function confused(expected: string, answered: string | null, show: (name: string) => string): [string, string] {
  if (answered === null) return [show(expected), "(no answer)"];
  return show(expected) === show(answered) ? [expected, answered] : [show(expected), show(answered)];
}

export function numberLines(numbers: NumberCalibration): string[] {
  const { expected, pairs, missing, surplus, medianRelativeError, within, bias, pearsonLog, spearman, bins } = numbers;
  const or = (value: number | null, text: (value: number) => string) => (value === null ? "–" : text(value));
  const facts = [
    ["numbers expected", String(expected)],
    ["  answered", String(pairs)],
    ["  missing", String(missing)],
    ["  answered beyond these", String(surplus)],
    ["median relative error", or(medianRelativeError, formatPercent)],
    ...within.map(({ error, share }) => [`within ${100 * error} %`, formatPercent(share)]),
    ["median answered / expected", or(bias, (value) => value.toFixed(3))],
    ["correlation of logarithms", or(pearsonLog, (value) => value.toFixed(3))],
    ["correlation of ranks", or(spearman, (value) => value.toFixed(3))],
  ];
  const head = ["expected", "numbers", "answered", "median expected", "median answered", "middle half"];
  const table = bins.map(({ from, to, expected: count, answered, medianExpected, medianAnswered, quartiles }) => [
    from === to ? short(from) : `${short(from)} – ${short(to)}`,
    String(count),
    String(answered),
    short(medianExpected),
    or(medianAnswered, short),
    quartiles === null ? "–" : quartiles.map(short).join(" – "),
  ]);
  return [...formatTable(facts), "", ...formatTable([head, ...table])];
}

/** Columns of a name in a table. */
const NAME = 40;

function range({ low, high }: ConfidenceInterval): string {
  return `${(100 * low).toFixed(0)} – ${(100 * high).toFixed(0)} %`;
}

export function rest(count: number, top: number, what: string): string[] {
  return count > top ? [`… and ${count - top} more ${what} (--top)`] : [];
}

/** Four digits that count. */
function short(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "too large";
}
