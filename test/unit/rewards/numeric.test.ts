import { describe, expect, test } from "vitest";
import { lastAnswer, numeric, ratio } from "../../../lib/rewards/index.js";
import { levenshteinRatio } from "../../../lib/rewards/levenshtein.js";
import { goldenJson } from "../../support/golden.js";
import { judged } from "../../support/rewards.js";

describe("numeric", () => {
  test.each<[string, object, string, string, number | null]>([
    ["equal", {}, "52 kcal", "52", 1],
    ["thousands", {}, "1,234", "1234", 1],
    ["full-width", {}, "１，２３４", "1234", 1],
    ["other", {}, "53", "52", 0],
    ["none given", {}, "many", "52", 0],
    ["none wanted", {}, "52", "many", null],
    ["surplus", {}, "52 53", "52", 0],
    ["at the tolerance", { tolerance: 0.05 }, "105", "100", 1],
    ["over the tolerance", { tolerance: 0.05 }, "106", "100", 0],
    ["graded", { graded: true }, "45", "50", 0.9],
    ["graded, far off", { graded: true }, "500", "50", 0],
    ["graded, one of two", { graded: true }, "50", "50 and 60", 0.5],
    ["graded with tolerance", { graded: true, tolerance: 0.1 }, "45", "50", 1],
    ["graded, nothing wanted", { graded: true }, "1", "0", 0],
    ["graded, negative", { graded: true }, "-45", "-50", 0.9],
    ["more digits than a number holds", { graded: true }, "5", "9".repeat(400), 0],
    ["both too large", { graded: true }, "9".repeat(400), "1", 0],
  ])("%s", (_, options, answer, solution, expected) => {
    const value = judged(numeric(options), answer, solution);
    if (expected === null) expect(value).toBeNull();
    else expect(value).toBeCloseTo(expected, 12);
  });
});

describe("ratio", () => {
  test("of answer and solution", () => {
    expect(judged(ratio(), "苹果汁", "<answer>苹果</answer>")).toBe(0.8);
    expect(judged(ratio(), "  RED\n apple. ", "red apple")).toBe(1);
    expect(judged(ratio(), "", "red")).toBe(0);
    expect(judged(ratio(), "red", "")).toBeNull();
  });

  test.each(goldenJson<{ ratio: { a: string; b: string; ratio: number }[] }>("rewards.json").ratio)(
    "of long texts is python-Levenshtein's",
    ({ a, b, ratio: expected }) => {
      expect(levenshteinRatio(a, b)).toBe(expected);
      expect(levenshteinRatio(b, a)).toBe(expected);
    },
  );
});

test("the last answer is that of the last pair of tags", () => {
  expect(lastAnswer("<answer>a</answer><answer> b </answer>")).toBe("b");
  expect(lastAnswer("<answer>a</answer><answer>b")).toBe("a");
  expect(lastAnswer("<answer>a <answer>b</answer></answer>")).toBe("a <answer>b");
  expect(lastAnswer("</answer><answer>")).toBeUndefined();
});
