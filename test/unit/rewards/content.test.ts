import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contentReward } from "../../../lib/rewards/content.js";
import { formatReward } from "../../../lib/rewards/format.js";
import { levenshteinRatio as ratio } from "../../../lib/rewards/levenshtein.js";

describe("ratio", () => {
  // Printed by python-Levenshtein 0.27.5.
  test.each([
    ["", "", 1],
    ["abc", "", 0],
    ["苹果", "苹果", 1],
    ["苹果汁", "苹果", 0.8],
    ["kitten", "sitting", 0.6153846153846154],
    ["abcd", "bcde", 0.75],
    ["𝒳ab", "ab", 0.8],
    ["a", "b", 0],
    ["ab", "a", 0.6666666666666667],
    ["hello world", "help wanted", 0.5454545454545454],
    ["青椒炒肉", "肉炒青椒", 0.5],
    ["apple ", "apple kcal", 0.75],
    ["aab", "ab", 0.8],
    ["abc", "xbcd", 0.5714285714285714],
  ])("of %j and %j is %d", (a, b, expected) => {
    expect(ratio(a, b)).toBe(expected);
  });

  test("is symmetric, and agrees with a plain recursion", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "果", "𝒳"), maxLength: 9 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(ratio(a, b)).toBe(ratio(b, a));
        expect(ratio(a, b)).toBeCloseTo(plainRatio([...a], [...b]), 12);
      }),
    );
  });
});

function plainRatio(a: string[], b: string[]): number {
  const lcs = (i: number, j: number): number => {
    if (i === a.length || j === b.length) return 0;
    return a[i] === b[j] ? 1 + lcs(i + 1, j + 1) : Math.max(lcs(i + 1, j), lcs(i, j + 1));
  };
  return a.length + b.length === 0 ? 1 : (2 * lcs(0, 0)) / (a.length + b.length);
}

describe("content", () => {
  const answer = (text: string) => `<think>…</think><answer>${text}</answer>`;

  test.each([
    ["all right", answer("苹果 52千卡"), "苹果 52千卡", 2],
    ["the solution in tags of its own", answer("苹果 52千卡"), answer("苹果 52千卡"), 2],
    ["white space around the answer", answer(" \n苹果 52千卡\n"), "苹果 52千卡", 2],
    ["right name, wrong number", answer("苹果 53千卡"), "苹果 52千卡", 1],
    ["wrong name, right number", answer("梨子 52千卡"), "苹果 52千卡", 1 + 0.6],
    ["the number written otherwise", answer("酱 1，234千卡"), "酱 1234千卡", 2],
    ["only the first answer counts", `${answer("苹果 52千卡")}<answer>x</answer>`, "苹果 52千卡", 2],
    ["no answer", "苹果 52千卡", "苹果 52千卡", 0],
    ["an answer that never ends", "<think></think><answer>苹果 52千卡", "苹果 52千卡", 0],
    ["a solution without a digit", answer("苹果"), "苹果", 0],
    ["no solution", answer("苹果"), "", 0],
  ])("%s", (_, completion, solution, expected) => {
    expect(contentReward(completion, solution)).toBeCloseTo(expected, 12);
  });

  test("graded: nearer numbers earn more, a missing or surplus one nothing", () => {
    const graded = (given: string) => contentReward(answer(`苹果 ${given}千卡`), "苹果 50千卡", true) - 1;
    expect(graded("50")).toBe(1);
    expect(graded("45")).toBeCloseTo(0.9, 12);
    expect(graded("200")).toBe(0);
    expect(graded("50 50")).toBeLessThan(0.51);
    expect(graded("")).toBe(0);
  });

  test("stays within 0 … 2 for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), fc.boolean(), (a, b, graded) => {
        const reward = contentReward(answer(a), b, graded);
        expect(reward).toBeGreaterThanOrEqual(0);
        expect(reward).toBeLessThanOrEqual(2);
      }),
    );
  });
});

describe("format", () => {
  test.each([
    ["<think>a</think><answer>b</answer>", 1],
    ["<think>a\nb</think> \n <answer>\nb</answer>", 1],
    ["<think></think><answer></answer>", 1],
    ["<think>a</think><answer>b</answer>\n", 0],
    [" <think>a</think><answer>b</answer>", 0],
    ["<think>a</think>, <answer>b</answer>", 0],
    ["<answer>b</answer>", 0],
    ["<think>a</think>", 0],
    ["", 0],
    // The dots are lazy but may run over tags: a full match may hold two pairs, as in VLM-R1.
    ["<think>a</think><answer>b</answer><answer>c</answer>", 1],
  ])("%j earns %d", (completion, expected) => {
    expect(formatReward(completion)).toBe(expected);
  });
});
