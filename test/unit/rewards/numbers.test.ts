import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hasDigit, parseNumbers, removeNumbers, sameNumbers } from "../../../lib/rewards/numbers.js";

describe("numbers in odd forms", () => {
  test.each<[string, number[], string]>([
    ["苹果 52千卡", [52], "苹果 千卡"],
    ["约1,234.5千卡", [1234.5], "约千卡"],
    ["１，２３４．５", [1234.5], ""],
    ["-3.5 to +7", [-3.5, 7], " to "],
    ["−3", [-3], ""],
    ["－３", [-3], ""],
    ["5-10", [5, 10], "-"],
    ["B-12", [12], "B-"],
    ["12\u202f345\u00a0678", [12345678], ""],
    ["12 345", [12, 345], " "],
    ["1,2345", [1, 2345], ","],
    ["1234,567", [1234, 567], ","],
    ["1,234,567", [1234567], ""],
    [".5", [0.5], ""],
    ["1.2.3", [1.2, 3], "."],
    ["0052.0", [52], ""],
    ["52.", [52], "."],
    ["3×4", [3, 4], "×"],
    ["½ 五", [], "½ 五"],
    ["", [], ""],
  ])("%j", (text, numbers, rest) => {
    expect(parseNumbers(text)).toEqual(numbers);
    expect(removeNumbers(text)).toBe(rest);
  });

  test("a number survives being written with thousands separators", () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e12, max: 1e12 }), (value) => {
        expect(parseNumbers(value.toLocaleString("en-US"))).toEqual([value]);
        expect(removeNumbers(`<${value.toLocaleString("en-US")}>`)).toBe("<>");
      }),
    );
  });

  test("what is left holds no number, whatever the text", () => {
    const unit = fc.constantFrom("0", "7", "３", ",", "，", ".", "-", "−", " ", "\u00a0", "a", "克");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 20 }), (text) => {
        expect(hasDigit(removeNumbers(text))).toBe(false);
        expect(hasDigit(text)).toBe(parseNumbers(text).length > 0);
      }),
    );
  });

  test("the order of numbers counts", () => {
    expect(sameNumbers("1 2", "a 1, b 2")).toBe(true);
    expect(sameNumbers("2 1", "1 2")).toBe(false);
    expect(sameNumbers("1", "1 1")).toBe(false);
  });
});
