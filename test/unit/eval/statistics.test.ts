import fc from "fast-check";
import { expect, test } from "vitest";
import {
  correlation,
  median,
  quantile,
  rankCorrelation,
  ranks,
  signTest,
  wilsonInterval,
} from "../../../lib/eval/analysis/statistics.js";

test("Wilson's intervals are those of Newcombe's paper of 1998", () => {
  const cases = [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ] as const;
  for (const [right, trials, low, high] of cases) {
    const interval = wilsonInterval(right / trials, trials);
    expect(interval.value).toBe(right / trials);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  }
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), (right, wrong) => {
      fc.pre(right + wrong > 0);
      const { value, low, high } = wilsonInterval(right / (right + wrong), right + wrong);
      expect(0 <= low && low <= value && value <= high && high <= 1).toBe(true);
    }),
  );
});

test("quantiles and correlations are numpy's", () => {
  for (const [share, value] of [
    [0.025, 1.075],
    [0.25, 1.75],
    [0.5, 3],
    [0.975, 7.7],
  ] as const) {
    expect(quantile([1, 2, 4, 8], share)).toBeCloseTo(value, 14);
  }
  expect(median([3, 1, 2])).toBe(2);
  expect(median([])).toBeNaN();
  expect(median([1, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY])).toBe(Number.POSITIVE_INFINITY);
  const x = [29, 30, 52, 69, 89, 153, 312];
  const y = [32, 25, 52, 25, 150, 153, 280];
  expect(correlation(x.map(Math.log), y.map(Math.log))).toBeCloseTo(0.8846665407064667, 14);
  expect(ranks(y)).toEqual([3, 1.5, 4, 1.5, 5, 6, 7]);
  expect(rankCorrelation(x, y)).toBeCloseTo(0.792824967172092, 14);
  expect(correlation([1, 2], [1, 2])).toBeNaN();
  expect(correlation([0.1, 0.1, 0.1], [1, 2, 3])).toBeNaN();
});

test("the sign test is exact, of large counts too", () => {
  // 2 · (1 + 13 + 78 + 286) / 2^13
  expect(signTest(10, 3)).toBeCloseTo(756 / 8192, 15);
  expect(signTest(3, 10)).toBe(signTest(10, 3));
  expect(signTest(0, 0)).toBe(1);
  expect(signTest(5, 5)).toBe(1);
  expect(signTest(0, 12)).toBeCloseTo(2 / 4096, 15);
  // Binomials of this size overflow; 2 · Φ(−2) with the continuity correction is 0.0455.
  expect(signTest(50_316.5 - 0.5, 49_683.5 + 0.5)).toBeCloseTo(0.0455, 3);
});
