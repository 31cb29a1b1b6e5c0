import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mathEqual } from "../../../lib/rewards/math/equal.js";

describe("mathEqual", () => {
  test.each([
    ["1/2", "0.5"],
    ["50%", "1/2"],
    ["50", "50%"],
    ["0.5", "50\\%"],
    ["\\frac{1}{2}", "0.5"],
    ["\\frac12", "1/2"],
    ["-\\frac{1}{2}", "\\frac{-1}{2}"],
    ["\\boxed{0.5}", "1/2"],
    ["So it is \\boxed{\\frac{1}{2}}.", "0.5"],
    ["$\\dfrac{3}{4}$", "0.75"],
    ["1,234.5", "1234.5"],
    ["１，２３４", "1234"],
    ["1\\,234", "1{,}234"],
    ["52 kcal", "52"],
    ["52 千卡", "52\\text{ kcal}"],
    ["$5", "5 dollars"],
    ["90^\\circ", "90 degrees"],
    ["x = 5", "5"],
    ["2x+1", "1+2x"],
    ["(x+1)^2", "x^2 + 2x + 1"],
    ["2\\pi r", "2*pi*r"],
    ["\\sin(x)^2 + \\cos(x)^2", "1"],
    ["\\sin^2 x", "(sin x)^2"],
    ["\\left(1, 2\\right)", "(1,2)"],
    ["\\{1, 2\\}", "\\{2, 1\\}"],
    ["\\sqrt{8}", "2\\sqrt{2}"],
    ["\\sqrt[3]{8}", "2"],
    ["√2", "2^{1/2}"],
    ["1 1/2", "1.5"],
    ["1½", "1\\frac{1}{2}"],
    ["2³", "8"],
    ["−3", "-3"],
    ["3\\times10^8", "3e8"],
    ["|−3|", "3"],
    ["5.", "5"],
    ["12345678901234567890", "12345678901234567890"],
  ])("%j is %j", (a, b) => {
    expect(mathEqual(a, b)).toBe(true);
    expect(mathEqual(b, a)).toBe(true);
  });

  test.each([
    ["1/2", "0.51"],
    ["0.333", "1/3"],
    ["51", "50%"],
    ["52 kJ", "52 kcal"],
    ["x = 5", "y = 5"],
    ["2x", "2y"],
    ["x^2", "x"],
    ["(1,2)", "(2,1)"],
    ["(0,1)", "[0,1)"],
    ["1, 2", "1, 2, 3"],
    ["1000000001", "1000000000"],
    ["12345678901234567890", "12345678901234567891"],
    ["1/0", "2/0 - 1"],
  ])("%j is not %j", (a, b) => {
    expect(mathEqual(a, b)).toBe(false);
    expect(mathEqual(b, a)).toBe(false);
  });

  test.each([
    "",
    "apple",
    "paple",
    "NaN",
    "Infinity",
    "3:4",
    "10-12",
    "10 – 12",
    "2024-01-05",
    "5/1/2024",
    "1 2",
    "2 +",
    "(1",
    "\\unknown{3}",
    "苹果",
    "x".repeat(2000),
  ])("%j is no mathematics", (text) => {
    expect(mathEqual(text, "5")).toBeUndefined();
  });

  test("agrees with arithmetic in numbers of any form", () => {
    const whole = fc.integer({ min: -999, max: 999 });
    fc.assert(
      fc.property(whole, fc.integer({ min: 1, max: 999 }), whole, (a, b, c) => {
        expect(mathEqual(`\\frac{${a}}{${b}} + ${c}`.replace("+ -", "- "), `(${a} + ${b} * (${c})) / ${b}`)).toBe(true);
        expect(mathEqual(`${a}/${b}`, `${a + 1}/${b}`)).toBe(false);
      }),
    );
  });

  test("never throws", () => {
    const piece = fc.constantFrom(
      "\\frac",
      "{",
      "}",
      "(",
      ")",
      "[",
      "]",
      "^",
      "1",
      "12",
      "x",
      "+",
      "-",
      "/",
      "%",
      ",",
      "|",
      " ",
      "\\sqrt",
      "\\{",
      "\\}",
      "=",
      ".",
      "e",
      "kg",
      "$",
      "½",
      "²",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), fc.string({ unit: "binary" }), (pieces, text) => {
        expect([true, false, undefined]).toContain(mathEqual(pieces.join(""), text));
        expect([true, false, undefined]).toContain(mathEqual(pieces.join(""), pieces.toReversed().join("")));
      }),
      { numRuns: 2000 },
    );
  });
});
