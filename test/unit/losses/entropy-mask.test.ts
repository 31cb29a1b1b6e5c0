import { describe, expect, it } from "vitest";
import { entropyThreshold, highEntropyMask } from "../../../lib/losses/index.js";
import { goldenJson } from "../../support/golden.js";

interface Quantiles {
  values: number[];
  quantiles: number[];
  thresholds: number[];
}
const { quantiles } = goldenJson<{ quantiles: Quantiles[] }>("losses.json");

describe("the threshold of an entropy mask", () => {
  it.each(quantiles.map((entry) => [entry.values.length, entry] as const))(
    "is torch.quantile of %d numbers",
    (_, entry) => {
      for (const [index, quantile] of entry.quantiles.entries())
        expect(entropyThreshold([entry.values], quantile)).toBe(entry.thresholds[index]);
    },
  );

  it("is of all arrays together, and of none of no numbers", () => {
    expect(entropyThreshold([[3, 1], [], Float32Array.of(2)], 0.5)).toBe(2);
    expect(entropyThreshold([[], []], 0.5)).toBe(Number.POSITIVE_INFINITY);
  });

  it("refuses what is no share and what is no number", () => {
    for (const quantile of [-0.1, 1.1, Number.NaN])
      expect(() => entropyThreshold([[1]], quantile)).toThrow("quantile: expected a number from 0 to 1");
    expect(() => entropyThreshold([[1, Number.NaN, 2]], 0.5)).toThrow("entropies: expected numbers, got NaN");
  });
});

describe("an entropy mask", () => {
  const rows = (mask: Uint8Array[]) => mask.map((row) => [...row]);
  const entropies = [
    [0.5, 3, 1],
    [2, 0.1],
  ];

  it("keeps the tokens of highest entropy", () => {
    // The share 0.6 lies between the third number of five, 1, and the fourth, 2.
    expect(rows(highEntropyMask(entropies, 0.4))).toEqual([
      [0, 1, 0],
      [1, 0],
    ]);
    expect(rows(highEntropyMask(entropies, 1))).toEqual([
      [1, 1, 1],
      [1, 1],
    ]);
    expect(rows(highEntropyMask(entropies, 0))).toEqual([
      [0, 1, 0],
      [0, 0],
    ]);
  });

  it("keeps a token whose entropy is the threshold itself", () => {
    // 1 − 0.7 is a little more than 0.3: in f64 the threshold would be a hair above the fourth of eleven numbers.
    const values = Array.from({ length: 11 }, (_, i) => i / 7);
    expect(rows(highEntropyMask([values], 0.7))).toEqual([[0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]]);
  });

  it("neither counts nor keeps masked tokens", () => {
    const mask = [
      [1, 0, 1],
      [0, 1],
    ];
    expect(rows(highEntropyMask(entropies, 0.5, mask))).toEqual([
      [1, 0, 1],
      [0, 0],
    ]);
    expect(
      rows(
        highEntropyMask(entropies, 0.5, [
          [0, 0, 0],
          [0, 0],
        ]),
      ),
    ).toEqual([
      [0, 0, 0],
      [0, 0],
    ]);
  });
});
