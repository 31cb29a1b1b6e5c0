import { relativeError } from "../../rewards/numbers.js";
import type { RecordedAnswer } from "../record.js";
import { answerParts } from "./answer-parts.js";
import { correlation, median, quantile, rankCorrelation } from "./statistics.js";

/** Relative errors that `within` counts up to. */
const WITHIN = [0.05, 0.1, 0.2, 0.5] as const;

/** Most bins of the table. */
const BINS = 5;

/** Expected numbers of one range, and what was answered. */
export interface NumberBin {
  /** The least and the greatest expected number. */
  from: number;
  to: number;
  /** Expected numbers. */
  expected: number;
  /** Those that were answered with a number. */
  answered: number;
  medianExpected: number;
  /** Over the answered ones; null where there are none. */
  medianAnswered: number | null;
  /** The middle half of the answered numbers lies between them. */
  quartiles: [number, number] | null;
}

/** How near the answered numbers are to the expected ones. Null: there are too few numbers to say. */
export interface NumberCalibration {
  /** Expected numbers. */
  expected: number;
  /** Those that an answered number stands against: the first against the first, the second against the second … */
  pairs: number;
  /** Those that none stands against: there was no answer, or one with too few numbers. */
  missing: number;
  /** Answered numbers that nothing was expected of. */
  surplus: number;
  /** Over the pairs: the median of |answered − expected| / |expected|. */
  medianRelativeError: number | null;
  /** Shares of the expected numbers, missing ones included, whose relative error is at most `error`. */
  within: { error: number; share: number }[];
  /** Median of answered / expected over the positive pairs: over 1, answers are too high. */
  bias: number | null;
  /** Pearson's correlation of the logarithms over the positive pairs. */
  pearsonLog: number | null;
  /** Spearman's correlation of the ranks over the same pairs. */
  spearman: number | null;
  /** Ranges of expected numbers with about as many each, ascending; equal numbers are in one range. */
  bins: NumberBin[];
}

interface Pair {
  expected: number;
  answered: number | undefined;
}

interface FullPair extends Pair {
  answered: number;
}

/** Undefined where no answer was to hold a number. */
export function numberCalibration(answers: readonly RecordedAnswer[]): NumberCalibration | undefined {
  const wanted: Pair[] = [];
  let surplus = 0;
  for (const { expectedNumbers, answeredNumbers } of answers.map(answerParts)) {
    for (const [index, expected] of expectedNumbers.entries())
      wanted.push({ expected, answered: answeredNumbers[index] });
    surplus += Math.max(0, answeredNumbers.length - expectedNumbers.length);
  }
  if (wanted.length === 0) return undefined;
  const pairs = wanted.filter(isFull);
  const errors = pairs.map(({ expected, answered }) => relativeError(answered, expected));
  const positive = pairs.filter(({ expected, answered }) => isPositive(expected) && isPositive(answered));
  const logs = (side: "expected" | "answered") => positive.map((pair) => Math.log(pair[side]));
  const [x, y] = [logs("expected"), logs("answered")];
  return {
    expected: wanted.length,
    pairs: pairs.length,
    missing: wanted.length - pairs.length,
    surplus,
    medianRelativeError: finiteOrNull(median(errors)),
    within: WITHIN.map((limit) => ({
      error: limit,
      // 110 of 100 is within 10 %, whatever the last bit of the division says.
      share: errors.filter((error) => error <= limit * (1 + 1e-12)).length / wanted.length,
    })),
    bias: finiteOrNull(median(positive.map(({ expected, answered }) => answered / expected))),
    pearsonLog: finiteOrNull(correlation(x, y)),
    spearman: finiteOrNull(rankCorrelation(x, y)),
    bins: binsOf(wanted),
  };
}

function binsOf(wanted: readonly Pair[]): NumberBin[] {
  const sorted = [...wanted].sort((a, b) => a.expected - b.expected);
  const bins: NumberBin[] = [];
  for (let start = 0; start < sorted.length; ) {
    // What is left is shared among the bins that are left; equal numbers stay together.
    const size = Math.max(1, Math.round((sorted.length - start) / Math.max(1, BINS - bins.length)));
    let end = Math.min(sorted.length, start + size);
    while (end < sorted.length && sorted[end]?.expected === sorted[end - 1]?.expected) end += 1;
    bins.push(binOf(sorted.slice(start, end)));
    start = end;
  }
  return bins;
}

/** Of pairs in the order of their expected numbers; at least one. */
function binOf(pairs: readonly Pair[]): NumberBin {
  const answered = Float64Array.from(pairs.filter(isFull), (pair) => pair.answered).sort();
  const expected = pairs.map((pair) => pair.expected);
  const at = (share: number) => quantile(answered, share);
  return {
    from: expected[0] as number,
    to: expected.at(-1) as number,
    expected: pairs.length,
    answered: answered.length,
    medianExpected: quantile(expected, 0.5),
    medianAnswered: finiteOrNull(at(0.5)),
    // Numbers that are too long for a double are infinite.
    quartiles: Number.isFinite(at(0.75)) ? [at(0.25), at(0.75)] : null,
  };
}

function isFull(pair: Pair): pair is FullPair {
  return pair.answered !== undefined;
}

function isPositive(value: number): boolean {
  return value > 0 && Number.isFinite(value);
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
