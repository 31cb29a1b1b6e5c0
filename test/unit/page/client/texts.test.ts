import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { differences } from "../../../../lib/page/client/base/diff.js";
import {
  clipped,
  formatDifference,
  formatInterval,
  formatPercent,
  formatValue,
  visible,
} from "../../../../lib/page/client/base/text.js";
import { formatTick } from "../../../../lib/page/client/charts/ticks.js";

describe("differences", () => {
  const words = fc
    .array(fc.constantFrom("red ", "apple ", "玉米", "52 ", "kcal", "<b>", "😀"))
    .map((parts) => parts.join(""));

  it("loses nothing of either text, and shares what it does not mark", () => {
    fc.assert(
      fc.property(words, words, (first, second) => {
        const [a, b] = differences(first, second);
        expect(a.map(({ text }) => text).join("")).toBe(first);
        expect(b.map(({ text }) => text).join("")).toBe(second);
        const shared = [a, b].map((pieces) =>
          pieces
            .filter(({ changed }) => !changed)
            .map(({ text }) => text)
            .join(""),
        );
        expect(shared[0]).toBe(shared[1]);
      }),
    );
  });

  it("marks single Chinese characters and whole words of others", () => {
    expect(differences("红苹果 52千卡", "青苹果 52千卡")[1]).toEqual([
      { text: "青", changed: true },
      { text: "苹果 52千卡", changed: false },
    ]);
    expect(differences("an apple", "an apricot")[0]).toEqual([
      { text: "an ", changed: false },
      { text: "apple", changed: true },
    ]);
  });

  it("compares long texts at their ends, quickly", () => {
    const [a] = differences(`same ${"a b ".repeat(5000)}`, `same ${"c d ".repeat(5000)}`);
    expect(a.filter(({ changed }) => changed)).toHaveLength(1);
  });
});

describe("texts", () => {
  it("shows what cannot be seen", () => {
    expect(visible("a\u0000b\u001b[0m\u202ec\u00ad\u007f\n\t👩‍🍳")).toBe("a␀b␛[0m⟨U+202E⟩c⟨U+00AD⟩⟨U+007F⟩\n\t👩‍🍳");
  });

  it("never cuts a character in two", () => {
    expect(clipped("ab😀cd", 3)).toBe("ab…");
    expect(clipped("ab😀cd", 4)).toBe("ab😀…");
    expect(clipped("ab", 2)).toBe("ab");
  });

  it("writes numbers with as many digits as they are worth", () => {
    const values = [
      0,
      1,
      1.98844,
      21.3667,
      431.26,
      7435,
      1_240_000,
      0.00021,
      2.1e-6,
      -0.5,
      null,
      undefined,
      Number.NaN,
    ];
    expect(values.map(formatValue)).toEqual([
      ...["0", "1", "1.988", "21.37", "431.3", "7,435", "1.24 M", "0.00021", "2.1e−6", "−0.500", "–", "–", "–"],
    ]);
    expect([0, 0.286, 1].map(formatPercent)).toEqual(["0 %", "28.6 %", "100 %"]);
    expect(formatDifference(-0.0004, "number")).toBe("±0.000");
    expect(formatDifference(0.036, "share")).toBe("+3.6 points");
    expect(formatInterval({ value: 0, low: -0.013, high: 0.087 }, "share")).toBe("−1.3 to +8.7");
  });

  it("labels an axis with no more digits than tell its ticks apart", () => {
    expect([0, 0.5, 1].map((value) => formatTick(value, "none", [0, 0.5, 1]))).toEqual(["0", "0.5", "1.0"]);
    expect([1, 1.25].map((value) => formatTick(value, "none", [1, 1.25, 1.5]))).toEqual(["1.00", "1.25"]);
    expect(formatTick(0.25, "share", [0, 0.25])).toBe("25 %");
    expect(formatTick(0.0001, "none", [0, 0.0001])).toBe("1e−4");
    expect(formatTick(-20, "none", [-20, 0])).toBe("−20");
  });
});
